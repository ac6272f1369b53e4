/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTPS downloads through libcurl, which is loaded when first needed (only `local` downloads anything, and the operator's image does
 * without it). Proxies come from the environment (https_proxy, no_proxy), authorities from the system's CA bundle. Redirects are
 * followed to https only. One thread per downloader.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "io/cancel.h"

enum {
	DOWNLOAD_TRIES_MAX = 6,     /* connections that may be cut in the middle of one file */
	DOWNLOAD_REACH_MS = 4000,   /* how long the one attempt may take that decides whether downloads work at all */
	DOWNLOAD_STALL_SECONDS = 30 /* below 1 KiB/s for so long counts as cut */
};
#define DOWNLOAD_BYTES_MAX (UINT64_C(2) * 1024 * 1024 * 1024)

struct downloader;

struct download_progress {
	uint64_t done;  /* bytes on disk, those of earlier runs included */
	uint64_t total; /* 0: the server did not say */
};

/* allow_http: also plain http (tests against loopback). ERROR_NOT_FOUND when libcurl is not installed. */
struct downloader *downloader_new(bool allow_http, struct error *err);
void downloader_free(struct downloader *downloader);

/*
 * Whether the host of the URL answers at all (any HTTP status counts). Asked once: the first answer holds for the downloader's life and
 * every later call returns it at once.
 */
int downloader_reach(struct downloader *downloader, const char *url, struct cancel *cancel, struct error *err);
/* Whether an image registry answers at host[:port] within the time, as one that serves would. Not remembered. */
bool downloader_registry_answers(struct downloader *downloader, const char *host, unsigned timeout_ms);

/* A short text (checksum file) into out; more than limit bytes is ERROR_EXHAUSTED. */
int downloader_text(struct downloader *downloader, const char *url, size_t limit, struct cancel *cancel, struct buffer *out,
                    struct error *err);
/*
 * Downloads to `path`. Bytes gather in PATH.part; a run that finds one goes on from its end (HTTP Range), and a connection that is cut is
 * taken up again, as long as every try brings something. sha256 (may be NULL) is checked before the rename: when a resumed file does not
 * match, it is fetched once from the start; when that does not match either, it is removed and the error (ERROR_CORRUPT) names it.
 * HTTP status errors have err->status.
 */
int downloader_file(struct downloader *downloader, const char *url, const char *path, const char *sha256,
                    void (*progress)(void *context, const struct download_progress *), void *context, struct cancel *cancel,
                    struct error *err);

static inline void downloader_cleanup(struct downloader **downloader)
{
	downloader_free(*downloader);
}
#define DOWNLOADER_CLEANUP __attribute__((cleanup(downloader_cleanup)))
