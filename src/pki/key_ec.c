/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC keys to and from SEC1 (RFC 5915) and into certificates. OpenSSL 3.0 chooses among all its encoders and decoders for every single key,
 * which takes ten times as long as the work itself; the forms that we write ourselves are read and written here, every other form by
 * OpenSSL.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <string.h>

#include "base/strings.h"
#include "pki/openssl_int.h"

/* P-521 is the largest. */
enum { SCALAR_MAXIMUM = 66, POINT_MAXIMUM = 1 + 2 * SCALAR_MAXIMUM, OBJECT_MAXIMUM = 16, DER_MAXIMUM = 256 };
enum { SEC1_VERSION = 1, TAG_PARAMETERS = 0, TAG_PUBLIC_KEY = 1, UNCOMPRESSED = 4 };

struct curve {
	int nid;
	const char *group; /* what OpenSSL calls it */
	long scalar;       /* bytes */
};
static const struct curve curves[] = {
	{ NID_X9_62_prime256v1, "prime256v1", 32 },
	{ NID_secp384r1, "secp384r1", 48 },
	{ NID_secp521r1, "secp521r1", 66 },
};

static const struct curve *curve_by_nid(int nid)
{
	for (size_t i = 0; i < ARRAY_LENGTH(curves); i++) {
		if (curves[i].nid == nid)
			return &curves[i];
	}
	return NULL;
}

static const struct curve *curve_of(const EVP_PKEY *handle)
{
	char name[64];
	int nid;

	if (EVP_PKEY_is_a(handle, "EC") != 1 || EVP_PKEY_get_group_name(handle, name, sizeof(name), NULL) != 1)
		return NULL;
	nid = OBJ_sn2nid(name);
	return curve_by_nid(nid != NID_undef ? nid : EC_curve_nist2nid(name));
}

static bool public_point(const EVP_PKEY *handle, const struct curve *curve, unsigned char point[POINT_MAXIMUM])
{
	size_t length = 0;

	return EVP_PKEY_get_octet_string_param(handle, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_MAXIMUM, &length) == 1 &&
	       length == 1 + 2 * (size_t)curve->scalar && point[0] == UNCOMPRESSED;
}

bool key_ec_set_public(const EVP_PKEY *handle, X509_PUBKEY *into)
{
	const struct curve *curve = curve_of(handle);
	unsigned char point[POINT_MAXIMUM], *copy;
	int length;

	if (curve == NULL || !public_point(handle, curve, point)) {
		ERR_clear_error();
		return false;
	}
	length = 1 + 2 * (int)curve->scalar;
	copy = OPENSSL_memdup(point, (size_t)length);
	if (copy != NULL &&
	    X509_PUBKEY_set0_param(into, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT, OBJ_nid2obj(curve->nid), copy, length) == 1)
		return true;
	OPENSSL_free(copy);
	ERR_clear_error();
	return false;
}

/* ---- writing ---- */

static bool private_scalar(const EVP_PKEY *handle, const struct curve *curve, unsigned char scalar[SCALAR_MAXIMUM])
{
	BIGNUM *number = NULL;
	bool good = EVP_PKEY_get_bn_param(handle, OSSL_PKEY_PARAM_PRIV_KEY, &number) == 1 &&
	            BN_bn2binpad(number, scalar, (int)curve->scalar) == (int)curve->scalar;

	BN_clear_free(number);
	return good;
}

static void put_bytes(unsigned char **place, const unsigned char *bytes, int length)
{
	memcpy(*place, bytes, (size_t)length);
	*place += length;
}

/* ECPrivateKey with named curve and public key, as Go and OpenSSL write it. Returns its length. */
static int put_key(unsigned char der[DER_MAXIMUM], const struct curve *curve, const unsigned char *scalar, const unsigned char *point)
{
	int scalar_length = (int)curve->scalar, point_length = 1 + 2 * scalar_length;
	unsigned char object[OBJECT_MAXIMUM], *object_end = object, *place = der;
	int object_length = i2d_ASN1_OBJECT(OBJ_nid2obj(curve->nid), &object_end);
	int bits = ASN1_object_size(0, point_length + 1, V_ASN1_BIT_STRING);
	int content = ASN1_object_size(0, 1, V_ASN1_INTEGER) + ASN1_object_size(0, scalar_length, V_ASN1_OCTET_STRING) +
	              ASN1_object_size(1, object_length, TAG_PARAMETERS) + ASN1_object_size(1, bits, TAG_PUBLIC_KEY);

	ASN1_put_object(&place, 1, content, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	ASN1_put_object(&place, 0, 1, V_ASN1_INTEGER, V_ASN1_UNIVERSAL);
	*place++ = SEC1_VERSION;
	ASN1_put_object(&place, 0, scalar_length, V_ASN1_OCTET_STRING, V_ASN1_UNIVERSAL);
	put_bytes(&place, scalar, scalar_length);
	ASN1_put_object(&place, 1, object_length, TAG_PARAMETERS, V_ASN1_CONTEXT_SPECIFIC);
	put_bytes(&place, object, object_length);
	ASN1_put_object(&place, 1, bits, TAG_PUBLIC_KEY, V_ASN1_CONTEXT_SPECIFIC);
	ASN1_put_object(&place, 0, point_length + 1, V_ASN1_BIT_STRING, V_ASN1_UNIVERSAL);
	*place++ = 0; /* unused bits */
	put_bytes(&place, point, point_length);
	return (int)(place - der);
}

int key_ec_write(const EVP_PKEY *handle, BIO *bio)
{
	const struct curve *curve = curve_of(handle);
	unsigned char scalar[SCALAR_MAXIMUM], point[POINT_MAXIMUM], der[DER_MAXIMUM];
	int written = 0;

	if (curve != NULL && public_point(handle, curve, point) && private_scalar(handle, curve, scalar))
		written = PEM_write_bio(bio, PEM_STRING_ECPRIVATEKEY, "", der, put_key(der, curve, scalar, point)) > 0;
	OPENSSL_cleanse(scalar, sizeof(scalar));
	OPENSSL_cleanse(der, sizeof(der));
	ERR_clear_error();
	return written;
}

/* ---- reading ---- */

struct element {
	const unsigned char *bytes;
	long length;
};

/* The next element when it has that tag and fits before the end. */
static bool take(const unsigned char **place, const unsigned char *end, int wanted_tag, int wanted_class, struct element *element)
{
	int tag, class, form;
	long length;

	if (*place >= end)
		return false;
	form = ASN1_get_object(place, &length, &tag, &class, end - *place);
	if ((form & 0x80) != 0 || form == (V_ASN1_CONSTRUCTED | 1) || tag != wanted_tag || class != wanted_class)
		return false;
	*element = (struct element){ *place, length };
	*place += length;
	return true;
}

static const struct curve *curve_of_object(const struct element *parameters)
{
	const unsigned char *place = parameters->bytes;
	ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &place, parameters->length);
	const struct curve *curve =
		object != NULL && place == parameters->bytes + parameters->length ? curve_by_nid(OBJ_obj2nid(object)) : NULL;

	ASN1_OBJECT_free(object);
	return curve;
}

static EVP_PKEY *make_handle(const struct curve *curve, const struct element *scalar, const struct element *point)
{
	OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	BIGNUM *number = BN_secure_new();
	OSSL_PARAM *parameters = NULL;
	EVP_PKEY *handle = NULL;

	if (builder != NULL && context != NULL && number != NULL && BN_bin2bn(scalar->bytes, (int)scalar->length, number) != NULL &&
	    OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, curve->group, 0) == 1 &&
	    OSSL_PARAM_BLD_push_BN_pad(builder, OSSL_PKEY_PARAM_PRIV_KEY, number, (size_t)scalar->length) == 1 &&
	    OSSL_PARAM_BLD_push_octet_string(builder, OSSL_PKEY_PARAM_PUB_KEY, point->bytes, (size_t)point->length) == 1)
		parameters = OSSL_PARAM_BLD_to_param(builder);
	if (parameters == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &handle, EVP_PKEY_KEYPAIR, parameters) != 1)
		handle = NULL;
	OSSL_PARAM_free(parameters); /* the private number lies in its secure part, which is zeroed */
	OSSL_PARAM_BLD_free(builder);
	BN_clear_free(number);
	EVP_PKEY_CTX_free(context);
	ERR_clear_error();
	return handle;
}

EVP_PKEY *key_ec_read(const unsigned char *der, long length)
{
	const unsigned char *place = der, *end = der + length, *inner;
	struct element all, version, scalar, tagged, point;
	const struct curve *curve;

	if (!take(&place, end, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL, &all) || place != end)
		return NULL;
	place = all.bytes;
	if (!take(&place, end, V_ASN1_INTEGER, V_ASN1_UNIVERSAL, &version) || version.length != 1 || *version.bytes != SEC1_VERSION ||
	    !take(&place, end, V_ASN1_OCTET_STRING, V_ASN1_UNIVERSAL, &scalar) ||
	    !take(&place, end, TAG_PARAMETERS, V_ASN1_CONTEXT_SPECIFIC, &tagged))
		return NULL;
	curve = curve_of_object(&tagged);
	if (curve == NULL || scalar.length != curve->scalar || !take(&place, end, TAG_PUBLIC_KEY, V_ASN1_CONTEXT_SPECIFIC, &tagged) ||
	    place != end)
		return NULL;
	inner = tagged.bytes;
	if (!take(&inner, end, V_ASN1_BIT_STRING, V_ASN1_UNIVERSAL, &point) || inner != end || point.length != 2 + 2 * curve->scalar ||
	    point.bytes[0] != 0 || point.bytes[1] != UNCOMPRESSED)
		return NULL;
	point = (struct element){ point.bytes + 1, point.length - 1 };
	return make_handle(curve, &scalar, &point);
}
