/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/strings.h"
#include "pki/digest.h"

/* RFC 1321 A.5 and FIPS 180-4 examples. */
static void test_known_values(void **state)
{
	char hex[DIGEST_HEX_SIZE];

	digest_hex(DIGEST_MD5, "", 0, hex);
	assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
	digest_hex(DIGEST_MD5, "message digest", 14, hex);
	assert_string_equal(hex, "f96b697d7cb7938d525a2f31aaf161d0");
	digest_hex(DIGEST_SHA256, "abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_pieces_equal_whole_and_restart(void **state)
{
	struct digest *digest DIGEST_CLEANUP = digest_new(DIGEST_SHA256);
	unsigned char bytes[DIGEST_MAXIMUM_SIZE];
	char hex[DIGEST_HEX_SIZE];

	digest_add(digest, "a", 1);
	digest_add_string(digest, "bc");
	digest_add_string(digest, NULL);
	digest_add(digest, NULL, 0);
	digest_finish_hex(digest, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(digest_finish(digest, bytes), 32); /* starts anew: the digest of nothing */
	assert_int_equal(bytes[0], 0xe3);
	assert_int_equal(bytes[1], 0xb0);
}

static void test_entries_are_hashed_in_key_order(void **state)
{
	struct digest_entry entries[] = { { "tls.key", "K2", 2 }, { "ca.key", "K1", 2 }, { "ca.crt", "C1", 2 }, { "tls.crt", "C2", 2 } };
	char hex[DIGEST_HEX_SIZE], wanted[DIGEST_HEX_SIZE];

	digest_entries_hex(entries, ARRAY_LENGTH(entries), hex);
	digest_hex(DIGEST_MD5, "C1K1C2K2", 8, wanted);
	assert_string_equal(hex, wanted);
	digest_entries_hex(NULL, 0, hex);
	assert_string_equal(hex, "d41d8cd98f00b204e9800998ecf8427e");
}

static void test_strings(void **state)
{
	const char *const words[] = { "--a=1", "--b", NULL };
	char hex[DIGEST_HEX_SIZE], wanted[DIGEST_HEX_SIZE];

	digest_strings_hex(words, true, hex);
	digest_hex(DIGEST_MD5, "--a=1\0--b", 10, wanted);
	assert_string_equal(hex, wanted);
	digest_strings_hex(words, false, hex);
	digest_hex(DIGEST_MD5, "--a=1--b", 8, wanted);
	assert_string_equal(hex, wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_pieces_equal_whole_and_restart),
		cmocka_unit_test(test_entries_are_hashed_in_key_order),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
