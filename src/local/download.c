/* SPDX-License-Identifier: Apache-2.0 */
#include "local/download.h"

#define CURL_DISABLE_TYPECHECK 1
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/strings.h"
#include "io/file.h"
#include "local/component_digest.h"

enum { REDIRECTS_MAX = 5L, STATUS_PARTIAL = 206, STATUS_RANGE = 416 };

/* What is used of libcurl; the variadic ones are called with the exact types that its manual asks for. */
struct curl_calls {
	CURLcode (*global_init)(long flags);
	CURL *(*easy_init)(void);
	CURLcode (*easy_setopt)(CURL *handle, CURLoption option, ...);
	CURLcode (*easy_perform)(CURL *handle);
	CURLcode (*easy_getinfo)(CURL *handle, CURLINFO info, ...);
	void (*easy_reset)(CURL *handle);
	void (*easy_cleanup)(CURL *handle);
	const char *(*easy_strerror)(CURLcode code);
};

struct downloader {
	void *library;
	struct curl_calls curl;
	CURL *handle;
	bool allow_http;
	bool asked; /* reach was decided */
	bool reachable;
	struct error why; /* when it is not */
	char message[CURL_ERROR_SIZE];
};

/* One request on its way; what the callbacks see. */
struct transfer {
	struct downloader *downloader;
	struct cancel *cancel;
	struct buffer *text; /* into memory, or */
	int descriptor;      /* into this file, */
	uint64_t offset;     /* that holds this many bytes already */
	uint64_t written;    /* by this transfer */
	bool begun;
	struct error failed; /* of a callback */
	void (*progress)(void *context, const struct download_progress *progress);
	void *context;
};

static int load(struct downloader *downloader, struct error *err)
{
	static const struct {
		const char *name;
		size_t offset;
	} symbols[] = {
		{ "curl_global_init", offsetof(struct curl_calls, global_init) },
		{ "curl_easy_init", offsetof(struct curl_calls, easy_init) },
		{ "curl_easy_setopt", offsetof(struct curl_calls, easy_setopt) },
		{ "curl_easy_perform", offsetof(struct curl_calls, easy_perform) },
		{ "curl_easy_getinfo", offsetof(struct curl_calls, easy_getinfo) },
		{ "curl_easy_reset", offsetof(struct curl_calls, easy_reset) },
		{ "curl_easy_cleanup", offsetof(struct curl_calls, easy_cleanup) },
		{ "curl_easy_strerror", offsetof(struct curl_calls, easy_strerror) },
	};

	downloader->library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (downloader->library == NULL)
		return error_set(err, ERROR_NOT_FOUND, "downloads need libcurl (apt-get install libcurl4)");
	for (size_t i = 0; i < ARRAY_LENGTH(symbols); i++) {
		void *symbol = dlsym(downloader->library, symbols[i].name);

		if (symbol == NULL)
			return error_set(err, ERROR_NOT_FOUND, "libcurl has no %s", symbols[i].name);
		memcpy((char *)&downloader->curl + symbols[i].offset, &symbol, sizeof(symbol));
	}
	if (downloader->curl.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return error_set(err, ERROR_SYSTEM, "libcurl does not start");
	downloader->handle = downloader->curl.easy_init();
	return downloader->handle != NULL ? 0 : error_set(err, ERROR_SYSTEM, "libcurl gives no handle");
}

struct downloader *downloader_new(bool allow_http, struct error *err)
{
	struct downloader *downloader = calloc(1, sizeof(*downloader));

	if (downloader == NULL)
		abort();
	downloader->allow_http = allow_http;
	if (load(downloader, err) != 0) {
		downloader_free(downloader);
		return NULL;
	}
	return downloader;
}

void downloader_free(struct downloader *downloader)
{
	if (downloader == NULL)
		return;
	if (downloader->handle != NULL)
		downloader->curl.easy_cleanup(downloader->handle);
	/* The library stays loaded: OpenSSL inside it may have registered handlers for the end of the process. */
	free(downloader);
}

static long status_of(struct downloader *downloader)
{
	long status = 0;

	(void)downloader->curl.easy_getinfo(downloader->handle, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* A server that ignores the range sends the whole file: what was there goes. */
static int begin_bytes(struct transfer *transfer)
{
	transfer->begun = true;
	if (transfer->descriptor < 0 || transfer->offset == 0)
		return 0;
	if (status_of(transfer->downloader) == STATUS_PARTIAL)
		return 0;
	transfer->offset = 0;
	if (ftruncate(transfer->descriptor, 0) != 0 || lseek(transfer->descriptor, 0, SEEK_SET) < 0)
		return error_set_errno(&transfer->failed, errno, "truncate");
	return 0;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *argument)
{
	struct transfer *transfer = argument;
	size_t length = size * count;

	if (!transfer->begun && begin_bytes(transfer) != 0)
		return 0;
	if (transfer->text != NULL) {
		if (!buffer_append(transfer->text, bytes, length)) {
			(void)error_set(&transfer->failed, ERROR_EXHAUSTED, "more than %zu bytes", transfer->text->limit);
			return 0;
		}
		return length;
	}
	if (transfer->offset + transfer->written + length > DOWNLOAD_BYTES_MAX) {
		(void)error_set(&transfer->failed, ERROR_EXHAUSTED, "more than 2 GiB");
		return 0;
	}
	if (file_write_all(transfer->descriptor, bytes, length, &transfer->failed) != 0)
		return 0;
	transfer->written += length;
	return length;
}

static int on_progress(void *argument, curl_off_t total, curl_off_t now, curl_off_t upload_total, curl_off_t upload_now)
{
	struct transfer *transfer = argument;
	struct download_progress progress = { .done = transfer->offset + transfer->written };

	if (cancel_is_triggered(transfer->cancel)) {
		(void)cancel_check(transfer->cancel, &transfer->failed);
		return 1;
	}
	if (transfer->progress != NULL && transfer->begun) {
		progress.total = total > 0 ? transfer->offset + (uint64_t)total : 0;
		transfer->progress(transfer->context, &progress);
	}
	return 0;
}

static void prepare(struct downloader *downloader, struct transfer *transfer, const char *url)
{
	CURL *handle = downloader->handle;
	CURLcode (*set)(CURL *, CURLoption, ...) = downloader->curl.easy_setopt;
	const char *protocols = downloader->allow_http ? "https,http" : "https";

	transfer->downloader = downloader;
	downloader->message[0] = '\0';
	downloader->curl.easy_reset(handle);
	(void)set(handle, CURLOPT_URL, url);
	(void)set(handle, CURLOPT_PROTOCOLS_STR, protocols);
	(void)set(handle, CURLOPT_REDIR_PROTOCOLS_STR, protocols);
	(void)set(handle, CURLOPT_FOLLOWLOCATION, 1L);
	(void)set(handle, CURLOPT_MAXREDIRS, (long)REDIRECTS_MAX);
	(void)set(handle, CURLOPT_NOSIGNAL, 1L);
	(void)set(handle, CURLOPT_ERRORBUFFER, downloader->message);
	(void)set(handle, CURLOPT_CONNECTTIMEOUT_MS, (long)DOWNLOAD_REACH_MS);
	(void)set(handle, CURLOPT_LOW_SPEED_LIMIT, 1024L);
	(void)set(handle, CURLOPT_LOW_SPEED_TIME, (long)DOWNLOAD_STALL_SECONDS);
	(void)set(handle, CURLOPT_USERAGENT, "kamaji-local");
	(void)set(handle, CURLOPT_FAILONERROR, 1L);
	(void)set(handle, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)set(handle, CURLOPT_WRITEDATA, transfer);
	(void)set(handle, CURLOPT_NOPROGRESS, 0L);
	(void)set(handle, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)set(handle, CURLOPT_XFERINFODATA, transfer);
}

static int explain(struct downloader *downloader, const struct transfer *transfer, CURLcode code, const char *url, struct error *err)
{
	long status = status_of(downloader);
	const char *text = downloader->message[0] != '\0' ? downloader->message : downloader->curl.easy_strerror(code);
	enum error_class class = ERROR_TRANSIENT;

	if (transfer->failed.class != ERROR_NONE) {
		*err = transfer->failed;
		return error_wrap(err, "%s", url);
	}
	if (code == CURLE_HTTP_RETURNED_ERROR) {
		class = status == 404 || status == 410 ? ERROR_NOT_FOUND : status < 500 ? ERROR_FORBIDDEN : ERROR_TRANSIENT;
		(void)error_set(err, class, "%s: HTTP status %ld", url, status);
		err->status = (int)status;
		return -1;
	}
	if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_URL_MALFORMAT)
		class = ERROR_INVALID;
	else if (code == CURLE_OPERATION_TIMEDOUT)
		class = ERROR_TIMEOUT;
	return error_set(err, class, "%s: %s", url, text);
}

/* A request whose answer does not matter, only that one came. */
static CURLcode knock(struct downloader *downloader, const char *url, unsigned timeout_ms, struct transfer *transfer)
{
	prepare(downloader, transfer, url);
	(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_NOBODY, 1L);
	(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_FAILONERROR, 0L);
	(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_FOLLOWLOCATION, 0L);
	(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
	(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	return downloader->curl.easy_perform(downloader->handle);
}

int downloader_reach(struct downloader *downloader, const char *url, struct cancel *cancel, struct error *err)
{
	struct transfer transfer = { .cancel = cancel, .descriptor = -1 };
	CURLcode code;

	if (!downloader->asked) {
		code = knock(downloader, url, DOWNLOAD_REACH_MS, &transfer);
		if (transfer.failed.class == ERROR_CANCELLED || transfer.failed.class == ERROR_TIMEOUT) {
			*err = transfer.failed;
			return -1;
		}
		downloader->asked = true;
		downloader->reachable = code == CURLE_OK;
		if (code != CURLE_OK)
			(void)explain(downloader, &transfer, code, url, &downloader->why);
	}
	if (!downloader->reachable)
		*err = downloader->why;
	return downloader->reachable ? 0 : -1;
}

bool downloader_registry_answers(struct downloader *downloader, const char *host, unsigned timeout_ms)
{
	struct transfer transfer = { .descriptor = -1 };
	FREE_CLEANUP char *url = string_printf("https://%s/v2/", host);
	long status;

	if (knock(downloader, url, timeout_ms, &transfer) != CURLE_OK)
		return false;
	/* 401 asks for a token, 3xx sends to a mirror; 403 and 407 are what a wall says. */
	status = status_of(downloader);
	return status == 200 || status == 401 || (status >= 300 && status < 400);
}

int downloader_text(struct downloader *downloader, const char *url, size_t limit, struct cancel *cancel, struct buffer *out,
                    struct error *err)
{
	struct transfer transfer = { .cancel = cancel, .text = out, .descriptor = -1 };
	CURLcode code;

	out->limit = out->length + limit;
	prepare(downloader, &transfer, url);
	code = downloader->curl.easy_perform(downloader->handle);
	return code == CURLE_OK ? 0 : explain(downloader, &transfer, code, url, err);
}

/* One connection. *advanced: it brought bytes. */
static int try_once(struct downloader *downloader, const char *url, int descriptor, struct transfer *transfer, bool *advanced,
                    struct error *err)
{
	char range[32];
	struct stat info;
	CURLcode code;

	if (fstat(descriptor, &info) != 0 || lseek(descriptor, info.st_size, SEEK_SET) < 0)
		return error_set_errno(err, errno, "%s", url);
	transfer->descriptor = descriptor;
	transfer->offset = (uint64_t)info.st_size;
	transfer->written = 0;
	transfer->begun = false;
	transfer->failed = (struct error){ 0 };
	prepare(downloader, transfer, url);
	if (transfer->offset > 0) {
		(void)snprintf(range, sizeof(range), "%llu-", (unsigned long long)transfer->offset);
		(void)downloader->curl.easy_setopt(downloader->handle, CURLOPT_RANGE, range);
	}
	code = downloader->curl.easy_perform(downloader->handle);
	*advanced = transfer->written > 0;
	if (code == CURLE_OK)
		return 0;
	(void)explain(downloader, transfer, code, url, err);
	if (err->status == STATUS_RANGE) { /* the rest is empty: whole already, or too long; the digest decides */
		error_clear(err);
		return 0;
	}
	return -1;
}

/* Until it is whole or a try brings nothing. */
static int gather(struct downloader *downloader, const char *url, int descriptor, struct transfer *transfer, struct error *err)
{
	for (int i = 1;; i++) {
		bool advanced = false;

		if (try_once(downloader, url, descriptor, transfer, &advanced, err) == 0)
			return 0;
		if (cancel_is_triggered(transfer->cancel) || transfer->failed.class != ERROR_NONE || err->status != 0 || !advanced ||
		    i >= DOWNLOAD_TRIES_MAX)
			return -1;
	}
}

static int verify(const char *partial, const char *sha256, const char *url, struct error *err)
{
	char found[COMPONENT_SHA256_SIZE];

	if (sha256 == NULL)
		return 0;
	if (component_digest_file(partial, found, NULL, err) != 0)
		return -1;
	if (strcmp(found, sha256) != 0)
		return error_set(err, ERROR_CORRUPT, "%s is refused: its SHA-256 is %s, not %s", url, found, sha256);
	return 0;
}

int downloader_file(struct downloader *downloader, const char *url, const char *path, const char *sha256,
                    void (*progress)(void *context, const struct download_progress *), void *context, struct cancel *cancel,
                    struct error *err)
{
	FREE_CLEANUP char *partial = string_printf("%s.part", path);
	DESCRIPTOR_CLEANUP int descriptor = open(partial, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	struct transfer transfer = { .cancel = cancel, .progress = progress, .context = context };
	struct stat info;
	bool resumed;

	if (descriptor < 0 || fstat(descriptor, &info) != 0)
		return error_set_errno(err, errno, "write %s", partial);
	resumed = info.st_size > 0;
	if (gather(downloader, url, descriptor, &transfer, err) != 0)
		return -1;
	if (verify(partial, sha256, url, err) != 0) {
		if (err->class != ERROR_CORRUPT)
			return -1;
		/* What an earlier run left may be of other bytes: once more from nothing before anybody is blamed. */
		if (ftruncate(descriptor, 0) != 0)
			return error_set_errno(err, errno, "truncate %s", partial);
		if (!resumed || gather(downloader, url, descriptor, &transfer, err) != 0 || verify(partial, sha256, url, err) != 0) {
			(void)unlink(partial);
			return -1;
		}
	}
	if (fsync(descriptor) != 0 || rename(partial, path) != 0)
		return error_set_errno(err, errno, "write %s", path);
	return 0;
}
