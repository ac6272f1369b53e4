/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values by the id of the operation that wrote them, least recently used first to go. Values whose operation has not reached the durable
 * home yet are pinned: they can be read from nowhere else. What was overwritten or deleted is asked for by few, those who read the past: such
 * values go first and share an eighth of the budget. Engine thread only.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store/blob.h"

struct value_cache;

struct value_cache *value_cache_new(size_t budget_bytes);
void value_cache_free(struct value_cache *cache);
/* Takes a reference of its own. */
void value_cache_put(struct value_cache *cache, uint64_t id, struct blob *value);
/* A new reference, or NULL. */
struct blob *value_cache_get(struct value_cache *cache, uint64_t id);
/* There is a newer version of this one's key. */
void value_cache_supersede(struct value_cache *cache, uint64_t id);
void value_cache_drop(struct value_cache *cache, uint64_t id);
/* Everything up to this id can be read from the home now. */
void value_cache_unpin(struct value_cache *cache, uint64_t up_to_id);
size_t value_cache_bytes(const struct value_cache *cache);
