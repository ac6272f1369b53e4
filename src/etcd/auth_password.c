/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords as bcrypt hashes (libxcrypt), the form and cost that etcd keeps. */
#include <crypt.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "base/secret.h"
#include "base/strings.h"
#include "etcd/auth_store.h"

enum { COST = 10, SALT_BYTES = 16, PREFIX_LENGTH = 4 /* "$2a$" */, HASH_LENGTH = 60 };

/* NULL when the library refuses the setting. The work area holds traces of the password: it is wiped. */
static char *run_crypt(const char *password, const char *setting)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char *hash, *result = NULL;

	if (data == NULL)
		abort();
	hash = crypt_r(password, setting, data);
	if (hash != NULL && hash[0] == '$')
		result = string_dup(hash);
	secret_zero(data, sizeof(*data));
	free(data);
	return result;
}

char *auth_hash(const char *password)
{
	char setting[CRYPT_GENSALT_OUTPUT_SIZE], salt[SALT_BYTES];
	char *hash;

	random_bytes(salt, sizeof(salt));
	if (crypt_gensalt_rn("$2b$", COST, salt, sizeof(salt), setting, sizeof(setting)) == NULL)
		abort();
	hash = run_crypt(password, setting);
	if (hash == NULL)
		abort();
	/* What etcd writes: for it 2a and 2b are the same algorithm. */
	hash[2] = 'a';
	return hash;
}

static bool same(const char *a, const char *b, size_t length)
{
	unsigned char difference = 0;

	for (size_t i = 0; i < length; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return difference == 0;
}

bool auth_hash_matches(const char *password, const char *hash)
{
	char setting[HASH_LENGTH + 1];
	char *again;
	bool matches;

	if (strlen(hash) != HASH_LENGTH || hash[0] != '$' || hash[1] != '2' || hash[3] != '$')
		return false;
	memcpy(setting, hash, sizeof(setting));
	/* libxcrypt's 2a guards against a fault that other libraries had, and then differs from etcd's, which never had it. 2b has neither. */
	setting[2] = 'b';
	again = run_crypt(password, setting);
	matches = again != NULL && strlen(again) == HASH_LENGTH &&
	          same(again + PREFIX_LENGTH, hash + PREFIX_LENGTH, HASH_LENGTH - PREFIX_LENGTH);
	secret_free(again);
	return matches;
}
