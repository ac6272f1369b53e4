/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's simple tokens: 16 random letters, a dot, the place in the log at which they were made. In memory only: a restart ends them. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/random.h"
#include "etcd/auth_int.h"

enum { TOKEN_LETTERS = 16, TOKEN_MS = 5 * 60 * 1000, SWEEP_MS = 1000 };

static void free_token(void *argument)
{
	struct auth_token *token = argument;

	if (token == NULL)
		return;
	free(token->user);
	free(token);
}

static void sweep(struct auth_store *auth, uint64_t now)
{
	struct map_entry *next;

	if (now - auth->tokens_swept_ms < SWEEP_MS)
		return;
	auth->tokens_swept_ms = now;
	for (struct map_entry *entry = map_first(&auth->tokens); entry != NULL; entry = next) {
		struct auth_token *token = entry->value;

		next = map_next(&auth->tokens, entry);
		if (token->ends_ms <= now)
			free_token(map_remove(&auth->tokens, entry->key));
	}
}

const char *auth_token_new(struct auth_store *auth, const char *user)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	uint64_t now = clock_monotonic_ms();
	struct auth_token *token = calloc(1, sizeof(*token));
	char prefix[TOKEN_LETTERS + 1] = "";
	char *name FREE_CLEANUP = NULL;

	if (token == NULL)
		abort();
	sweep(auth, now);
	for (int i = 0; i < TOKEN_LETTERS; i++)
		prefix[i] = letters[random_below(sizeof(letters) - 1)];
	name = string_printf("%s.%" PRIu64, prefix, store_sequence(auth->store));
	*token = (struct auth_token){ string_dup(user), now + TOKEN_MS };
	free_token(map_put(&auth->tokens, name, token));
	for (struct map_entry *entry = map_first(&auth->tokens); entry != NULL; entry = map_next(&auth->tokens, entry))
		if (entry->value == token)
			return entry->key;
	return NULL;
}

const char *auth_token_user(struct auth_store *auth, const char *text)
{
	struct auth_token *token = map_get(&auth->tokens, string_has_prefix(text, "Bearer ") ? text + sizeof("Bearer ") - 1 : text);
	uint64_t now = clock_monotonic_ms();

	if (token == NULL || token->ends_ms <= now)
		return NULL;
	token->ends_ms = now + TOKEN_MS;
	return token->user;
}

void auth_tokens_drop(struct auth_store *auth, const char *user)
{
	struct map_entry *next;

	for (struct map_entry *entry = map_first(&auth->tokens); entry != NULL; entry = next) {
		struct auth_token *token = entry->value;

		next = map_next(&auth->tokens, entry);
		if (user == NULL || string_equal(token->user, user))
			free_token(map_remove(&auth->tokens, entry->key));
	}
}
