/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An API server that says what a test tells it to: HTTP/2 without TLS on loopback. Every request is put on a list; the test takes it with
 * api_script_next() and answers it piece by piece, from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kube/client.h"

struct api_script;
struct api_call;

struct api_script *api_script_start(struct loop *loop);
void api_script_stop(struct api_script *script);
/* A client of it. */
struct kube_client *api_script_client(struct api_script *script, struct loop *loop, const char *token_file);

/* The next request that has come completely; waits up to 5 s, then NULL. Belongs to the script; lives until api_script_stop(). */
struct api_call *api_script_next(struct api_script *script);
/* True when no request comes for so long. */
bool api_script_is_quiet(struct api_script *script, unsigned milliseconds);
unsigned api_script_count(struct api_script *script); /* requests that came so far */
/* Closes every connection, as a server that dies; the next ones are accepted again. */
void api_script_break(struct api_script *script);

const char *api_call_method(const struct api_call *call);
const char *api_call_path(const struct api_call *call); /* with the query */
const char *api_call_body(const struct api_call *call);
const char *api_call_header(const struct api_call *call, const char *name);
bool api_call_is_over(struct api_call *call); /* the client has cancelled it, or the connection is gone */

/* Whole answer. retry_after may be NULL. */
void api_call_answer(struct api_call *call, int status, const char *retry_after, const char *body);
/* Header only; then pieces; end closes. length SIZE_MAX: strlen. */
void api_call_begin(struct api_call *call, int status);
void api_call_send(struct api_call *call, const char *bytes, size_t length, bool end);
void api_call_reset(struct api_call *call);
