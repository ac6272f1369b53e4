/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the room: the three parts of a cache. The store (cache_store.c) holds entries and indexes, guarded by the mutex, changed on
 * the loop only. The cache proper (cache.c) turns objects into entries and tells handlers. The reflector (cache_reflector.c) lists and
 * watches; its state belongs to the loop's thread.
 */
#pragma once

#include <pthread.h>

#include "base/buffer.h"
#include "base/map.h"
#include "kube/cache.h"
#include "kube/watch.h"
#include "net/http_client.h"

enum { KUBE_CACHE_REMEMBERED_DELETIONS = 64 };

struct kube_slot {
	struct kube_entry *entry;
	struct string_list *values; /* one list per index, sorted and unique */
	uint64_t list_number;       /* the last list that held the key */
	uint64_t observed_ms;       /* set while unconfirmed, see kube_cache_observe() */
	uint64_t observed_list;     /* the list under way when it was observed, 0 for none */
	bool unconfirmed;
};

struct kube_store {
	struct map slots;       /* key -> struct kube_slot */
	struct map *index_maps; /* per index: value -> struct map (key -> slot) */
	struct kube_cache_index *indexes;
	size_t index_count;
	size_t memory;
	size_t unconfirmed;
};

void kube_store_init(struct kube_store *store, const struct kube_cache_index *indexes, size_t count);
void kube_store_free(struct kube_store *store);
struct kube_slot *kube_store_find(const struct kube_store *store, const char *key);
/* What leaves a store: the caller's to free with kube_store_old_free(). */
struct kube_store_old {
	struct kube_entry *entry; /* NULL when there was none */
	struct string_list *values;
};
void kube_store_old_free(const struct kube_store *store, struct kube_store_old *old);
/* Takes the reference of the entry and the lists (values: array of index_count, may be NULL without indexes). */
struct kube_slot *kube_store_put(struct kube_store *store, struct kube_entry *entry, struct string_list *values,
                                 struct kube_store_old *ret_old);
void kube_store_remove(struct kube_store *store, const char *key, struct kube_store_old *ret_old);
void kube_store_set_unconfirmed(struct kube_store *store, struct kube_slot *slot, bool unconfirmed, uint64_t now_ms, uint64_t list_number);
void kube_store_by_index(const struct kube_store *store, const char *index, const char *value, struct kube_entries *out);

enum kube_reflector_state { KUBE_REFLECTOR_STOPPED, KUBE_REFLECTOR_LISTING, KUBE_REFLECTOR_WATCHING, KUBE_REFLECTOR_WAITING };

struct kube_reflector {
	enum kube_reflector_state state;
	struct http_stream *stream;
	struct loop_timer *timer;
	bool list_next; /* what the timer starts: a list or a watch */
	int status;     /* HTTP status of the stream, 0 before its header */
	char *retry_after;
	struct buffer body; /* a list page, or the body of a refusal */
	struct kube_watch_lines lines;
	char *resource_version; /* where the next watch begins */
	char *continue_token;
	uint64_t list_number; /* grows with every list begun */
	uint64_t watch_since_ms;
	unsigned failures;    /* in a row */
	unsigned expirations; /* 410s in a row */
};

struct kube_cache_handler_row {
	kube_cache_handler handler;
	void *argument;
};

struct kube_cache {
	struct loop *loop;
	struct kube_client *client;
	const struct kube_resource *resource;
	char *namespace, *label_selector, *field_selector, *field_manager;
	bool metadata_only, secret;
	void (*transform)(json_t *object, void *argument);
	void *transform_argument;
	bool (*keep)(const json_t *object, void *argument);
	void *keep_argument;
	unsigned page_size;

	pthread_mutex_t mutex;
	pthread_cond_t condition; /* synced */
	struct kube_store store;  /* with the mutex; read without it on the loop */
	bool synced;
	struct error last_error;
	uint64_t heard_ms;

	/* The loop's alone: */
	struct kube_cache_handler_row *handlers;
	size_t handler_count;
	struct kube_reflector reflector;
	struct kube_pattern *pattern;                      /* of the first objects; NULL while there are few */
	struct buffer sample;                              /* their texts until then */
	uint64_t deleted[KUBE_CACHE_REMEMBERED_DELETIONS]; /* hashes of uids */
	size_t deleted_next;
};

/* On the loop. The object is used up as kube_entry_new() does (the reference stays the caller's). */
int kube_cache_take(struct kube_cache *cache, json_t *object, uint64_t list_number, struct error *err);
/* An event of the watch: true when exactly that state is held, which is confirmed by this; there is nothing else to learn from it then. */
bool kube_cache_confirm(struct kube_cache *cache, const struct kube_watch_glance *glance);
void kube_cache_take_deleted(struct kube_cache *cache, const json_t *object);
void kube_cache_begin_list(struct kube_cache *cache);
/* Everything that the list with that number did not hold is gone; the cache is synced. */
void kube_cache_finish_list(struct kube_cache *cache, uint64_t list_number);
void kube_cache_note_heard(struct kube_cache *cache);
void kube_cache_note_error(struct kube_cache *cache, const struct error *err); /* NULL: healthy */
/* True when an observed entry has waited for its confirmation for too long. */
bool kube_cache_has_stale_observation(struct kube_cache *cache);

void kube_reflector_start(struct kube_cache *cache);
void kube_reflector_stop(struct kube_cache *cache);
