/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/secret.h"
#include "etcd/admin.h"
#include "etcd/auth_decode.h"
#include "etcd/auth_int.h"
#include "etcd/etcd_int.h"
#include "grpc/protobuf.h"

enum { PASSWORD_MAXIMUM = 72 /* of bcrypt, which would not look at the rest */ };

/* Errors that etcd passes on as they come from the packages it uses: unknown to gRPC. */
static const struct etcd_error password_too_long = { 2, "bcrypt: password length exceeds 72 bytes" };
static const struct etcd_error hash_unreadable = { 2, "auth: authentication failed, password was given for no password user" };

static void put_header(struct etcd_server *server, struct buffer *answer)
{
	struct etcd_header header = etcd_header(server, space_visible_revision(server->space));

	etcd_encode_header(answer, &header);
}

/* The end of every change. */
static void finish_change(struct etcd_server *server, struct grpc_call *call, const struct etcd_error *error, uint64_t sequence)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	etcd_answer_when_durable(server, call, sequence, &answer);
}

static void call_ended(struct grpc_call *call, void *argument)
{
	struct etcd_server *server = argument;

	admin_call_ended(server->admin, call);
	etcd_held_ended(call, server);
}

/* A request of names only, from an administrator: decoded and permitted, or answered with what is wrong. */
static bool begin_admin(struct etcd_server *server, struct grpc_call *call, const char *bytes, size_t length, struct auth_request *request)
{
	const struct etcd_error *error =
		auth_request_decode(bytes, length, request) ? etcd_require_admin(server, call) : &etcd_error_MALFORMED;

	if (error != NULL)
		etcd_refuse(call, error);
	return error == NULL;
}

static void serve_enable(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct auth_request request;
	uint64_t sequence = 0;

	if (begin_admin(server, call, bytes, length, &request))
		finish_change(server, call, auth_enable(server->auth, &sequence), sequence);
}

static void serve_disable(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct auth_request request;
	uint64_t sequence = 0;

	if (begin_admin(server, call, bytes, length, &request))
		finish_change(server, call, auth_disable(server->auth, &sequence), sequence);
}

static void serve_status(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const char *user;
	const struct etcd_error *error = etcd_user(server, call, &user);

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	protobuf_put_boolean(&answer, 2, auth_enabled(server->auth));
	protobuf_put_unsigned(&answer, 3, auth_revision(server->auth));
	etcd_answer(call, &answer);
}

/* A password on its way through bcrypt. */
struct login {
	struct etcd_server *server;
	char *name, *password;
	char *hash;        /* to compare with, or made */
	uint64_t revision; /* of the auth store when the hash was looked up */
	bool matches;
};

static void free_login(struct login *login)
{
	secret_free(login->password);
	secret_free(login->hash);
	free(login->name);
	free(login);
}

static struct login *new_login(struct etcd_server *server, const char *name, const char *password)
{
	struct login *login = calloc(1, sizeof(*login));

	if (login == NULL)
		abort();
	login->server = server;
	login->name = string_dup(name);
	login->password = string_dup(password);
	return login;
}

static void run_login(struct login *login, struct grpc_call *call, void (*work)(void *), void (*done)(void *, struct grpc_call *))
{
	if (!admin_run(login->server->admin, call, &(struct admin_work){ ADMIN_LOGIN, work, done, login })) {
		free_login(login);
		etcd_refuse(call, &etcd_error_TOO_MANY_REQUESTS);
	}
}

static void compare_work(void *argument)
{
	struct login *login = argument;

	login->matches = auth_hash_matches(login->password, login->hash);
}

static void login_done(void *argument, struct grpc_call *call);

static void start_login(struct login *login, struct grpc_call *call)
{
	const char *hash;
	const struct etcd_error *error = auth_password_hash(login->server->auth, login->name, &hash);

	if (error != NULL) {
		free_login(login);
		etcd_refuse(call, error);
		return;
	}
	free(login->hash);
	login->hash = string_dup(hash);
	login->revision = auth_revision(login->server->auth);
	run_login(login, call, compare_work, login_done);
}

static void login_done(void *argument, struct grpc_call *call)
{
	struct buffer answer BUFFER_SECRET_CLEANUP = { 0 };
	struct login *login = argument;

	if (call == NULL) {
		free_login(login);
		return;
	}
	if (!login->matches) {
		free_login(login);
		etcd_refuse(call, &etcd_error_AUTH_FAILED);
		return;
	}
	/* Users changed in the meantime: the password may be another's by now. */
	if (login->revision != auth_revision(login->server->auth)) {
		start_login(login, call);
		return;
	}
	put_header(login->server, &answer);
	protobuf_put_string(&answer, 2, auth_token_new(login->server->auth, login->name));
	free_login(login);
	etcd_answer(call, &answer);
}

static void serve_authenticate(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct auth_request request;
	const char *name = NULL, *password = NULL;

	if (auth_request_decode(bytes, length, &request)) {
		name = auth_request_text(&request, 1, arena);
		password = auth_request_text(&request, 2, arena);
	}
	if (name == NULL || password == NULL)
		etcd_refuse(call, &etcd_error_MALFORMED);
	else if (strlen(password) > PASSWORD_MAXIMUM)
		etcd_refuse(call, auth_enabled(server->auth) ? &etcd_error_AUTH_FAILED : &etcd_error_AUTH_NOT_ENABLED);
	else
		start_login(new_login(server, name, password), call);
	if (password != NULL)
		secret_zero((char *)password, strlen(password));
}

static void hash_work(void *argument)
{
	struct login *login = argument;

	login->hash = auth_hash(login->password);
}

static void user_add_done(void *argument, struct grpc_call *call)
{
	struct login *login = argument;
	uint64_t sequence = 0;

	if (call != NULL) {
		const struct etcd_error *error = etcd_require_admin(login->server, call);

		if (error == NULL)
			error = auth_user_add(login->server->auth, login->name, login->hash, &sequence);
		finish_change(login->server, call, error, sequence);
	}
	free_login(login);
}

/* The text of a hash as it comes in hashedPassword, base64; NULL when it is none. */
static char *decode_hash(const char *text)
{
	struct buffer hash = { 0 };
	struct error err;

	if (base64_decode(text, strlen(text), &hash, &err) < 0 || memchr(hash.data != NULL ? hash.data : "", '\0', hash.length) != NULL) {
		buffer_free(&hash);
		return NULL;
	}
	return buffer_take(&hash);
}

static void add_user(struct etcd_server *server, struct grpc_call *call, const char *name, const char *password, const char *hashed,
                     bool no_password)
{
	const struct string_list *roles;
	char *hash SECRET_CLEANUP = NULL;
	uint64_t sequence = 0;

	if (strlen(password) > PASSWORD_MAXIMUM && !no_password) {
		etcd_refuse(call, &password_too_long);
	} else if (no_password || string_empty(name) || auth_user_roles(server->auth, name, &roles) == NULL) {
		finish_change(server, call, auth_user_add(server->auth, name, NULL, &sequence), sequence);
	} else if (string_empty(password) && !string_empty(hashed)) {
		hash = decode_hash(hashed);
		finish_change(server, call, hash != NULL ? auth_user_add(server->auth, name, hash, &sequence) : &hash_unreadable, sequence);
	} else {
		run_login(new_login(server, name, password), call, hash_work, user_add_done);
	}
}

static void serve_user_add(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	const char *name, *password, *hashed;
	struct auth_request request;
	bool good, no_password;

	if (!begin_admin(argument, call, bytes, length, &request))
		return;
	name = auth_request_text(&request, 1, arena);
	password = auth_request_text(&request, 2, arena);
	hashed = auth_request_text(&request, 4, arena);
	no_password = auth_request_no_password(&request, &good);
	if (name == NULL || password == NULL || hashed == NULL || !good)
		etcd_refuse(call, good ? &etcd_error_INVALID_TEXT : &etcd_error_MALFORMED);
	else
		add_user(argument, call, name, password, hashed, no_password);
	if (password != NULL)
		secret_zero((char *)password, strlen(password));
}

static void password_done(void *argument, struct grpc_call *call)
{
	struct login *login = argument;
	uint64_t sequence = 0;

	if (call != NULL) {
		const struct etcd_error *error = etcd_require_admin(login->server, call);

		if (error == NULL)
			error = auth_user_set_password(login->server->auth, login->name, login->hash, &sequence);
		finish_change(login->server, call, error, sequence);
	}
	free_login(login);
}

static void change_password(struct etcd_server *server, struct grpc_call *call, const char *name, const char *password, const char *hashed)
{
	const struct string_list *roles;
	const struct etcd_error *error = auth_user_roles(server->auth, name, &roles);
	char *hash SECRET_CLEANUP = NULL;
	uint64_t sequence = 0;

	if (strlen(password) > PASSWORD_MAXIMUM) {
		etcd_refuse(call, &password_too_long);
	} else if (error != NULL) {
		etcd_refuse(call, error);
	} else if (string_empty(password)) {
		hash = decode_hash(hashed);
		finish_change(server, call, hash != NULL ? auth_user_set_password(server->auth, name, hash, &sequence) : &hash_unreadable,
		              sequence);
	} else {
		run_login(new_login(server, name, password), call, hash_work, password_done);
	}
}

static void serve_password(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	const char *name, *password, *hashed;
	struct auth_request request;

	if (!begin_admin(argument, call, bytes, length, &request))
		return;
	name = auth_request_text(&request, 1, arena);
	password = auth_request_text(&request, 2, arena);
	hashed = auth_request_text(&request, 3, arena);
	if (name == NULL || password == NULL || hashed == NULL)
		etcd_refuse(call, &etcd_error_INVALID_TEXT);
	else
		change_password(argument, call, name, password, hashed);
	if (password != NULL)
		secret_zero((char *)password, strlen(password));
}

/* The changes that take one name or two: one function decodes for all of them. */
struct change {
	struct etcd_server *server;
	const char *first, *second;
	const struct auth_request *request;
	uint64_t sequence;
};

static void serve_names(struct grpc_call *call, const char *bytes, size_t length, struct etcd_server *server, bool two,
                        const struct etcd_error *(*apply)(struct change *))
{
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct change change = { .server = server };
	struct auth_request request;

	if (!begin_admin(server, call, bytes, length, &request))
		return;
	change.request = &request;
	change.first = auth_request_text(&request, 1, arena);
	change.second = two ? auth_request_text(&request, 2, arena) : "";
	if (change.first == NULL || change.second == NULL)
		etcd_refuse(call, &etcd_error_INVALID_TEXT);
	else
		finish_change(server, call, apply(&change), change.sequence);
}

static const struct etcd_error *user_delete(struct change *change)
{
	return auth_user_delete(change->server->auth, change->first, &change->sequence);
}

static const struct etcd_error *user_grant(struct change *change)
{
	return auth_user_grant(change->server->auth, change->first, change->second, &change->sequence);
}

static const struct etcd_error *user_revoke(struct change *change)
{
	return auth_user_revoke(change->server->auth, change->first, change->second, &change->sequence);
}

static const struct etcd_error *role_add(struct change *change)
{
	return auth_role_add(change->server->auth, change->first, &change->sequence);
}

static const struct etcd_error *role_delete(struct change *change)
{
	return auth_role_delete(change->server->auth, change->first, &change->sequence);
}

static const struct etcd_error *role_grant(struct change *change)
{
	struct auth_permission permission;
	struct bytes message = auth_request_bytes(change->request, 2);

	if (change->request->fields[2].data == NULL)
		return &etcd_error_PERMISSION_NOT_GIVEN;
	if (!auth_permission_decode(message.data, message.length, &permission))
		return &etcd_error_MALFORMED;
	return auth_role_grant(change->server->auth, change->first, &permission, &change->sequence);
}

static const struct etcd_error *role_revoke(struct change *change)
{
	return auth_role_revoke(change->server->auth, change->first, auth_request_bytes(change->request, 2),
	                        auth_request_bytes(change->request, 3), &change->sequence);
}

static void serve_user_delete(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, false, user_delete);
}

static void serve_user_grant(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, true, user_grant);
}

static void serve_user_revoke(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, true, user_revoke);
}

static void serve_role_add(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, false, role_add);
}

static void serve_role_delete(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, false, role_delete);
}

static void serve_role_grant(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, false, role_grant);
}

static void serve_role_revoke(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_names(call, bytes, length, argument, false, role_revoke);
}

static void answer_names(struct etcd_server *server, struct grpc_call *call, const struct string_list *names)
{
	struct buffer answer BUFFER_CLEANUP = { 0 };

	put_header(server, &answer);
	for (size_t i = 0; i < names->count; i++)
		protobuf_put_string(&answer, 2, names->items[i]);
	etcd_answer(call, &answer);
}

/* Users may look at themselves and at their roles. */
static const struct etcd_error *may_look(struct etcd_server *server, struct grpc_call *call, const char *name, bool role)
{
	const struct string_list *roles;
	const struct etcd_error *error, *admin;
	const char *user;

	error = etcd_user(server, call, &user);
	if (error != NULL)
		return error;
	admin = auth_check_admin(server->auth, user);
	if (admin == NULL || (!role && string_equal(user, name)))
		return NULL;
	if (role && auth_user_roles(server->auth, user, &roles) == NULL && string_list_contains(roles, name))
		return NULL;
	return admin;
}

static void serve_user_get(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct arena *arena ARENA_CLEANUP = arena_new();
	const struct etcd_error *error;
	const struct string_list *roles;
	struct auth_request request;
	const char *name = auth_request_decode(bytes, length, &request) ? auth_request_text(&request, 1, arena) : NULL;

	error = name == NULL ? &etcd_error_MALFORMED : may_look(server, call, name, false);
	if (error == NULL)
		error = auth_user_roles(server->auth, name, &roles);
	if (error != NULL)
		etcd_refuse(call, error);
	else
		answer_names(server, call, roles);
}

static void serve_role_get(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	struct etcd_server *server = argument;
	struct arena *arena ARENA_CLEANUP = arena_new();
	struct buffer answer BUFFER_CLEANUP = { 0 };
	const struct auth_permission *permissions;
	const struct etcd_error *error;
	struct auth_request request;
	const char *name = auth_request_decode(bytes, length, &request) ? auth_request_text(&request, 1, arena) : NULL;
	size_t count = 0;

	error = name == NULL ? &etcd_error_MALFORMED : may_look(server, call, name, true);
	if (error == NULL)
		error = auth_role_permissions(server->auth, name, &permissions, &count);
	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	put_header(server, &answer);
	for (size_t i = 0; i < count; i++) {
		struct buffer permission BUFFER_CLEANUP = { 0 };

		auth_permission_encode(&permissions[i], &permission);
		protobuf_put_message(&answer, 2, &permission);
	}
	etcd_answer(call, &answer);
}

static void serve_list(struct grpc_call *call, struct etcd_server *server, void (*list)(const struct auth_store *, struct string_list *))
{
	struct string_list names STRING_LIST_CLEANUP = { 0 };
	const struct etcd_error *error = etcd_require_admin(server, call);

	if (error != NULL) {
		etcd_refuse(call, error);
		return;
	}
	list(server->auth, &names);
	answer_names(server, call, &names);
}

static void serve_user_list(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_list(call, argument, auth_user_names);
}

static void serve_role_list(struct grpc_call *call, const char *bytes, size_t length, void *argument)
{
	serve_list(call, argument, auth_role_names);
}

const struct grpc_method etcd_auth_methods[] = {
	{ .path = "/etcdserverpb.Auth/AuthEnable", .message = serve_enable, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/AuthDisable", .message = serve_disable, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/AuthStatus", .message = serve_status },
	{ .path = "/etcdserverpb.Auth/Authenticate", .message = serve_authenticate, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/UserAdd", .message = serve_user_add, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/UserGet", .message = serve_user_get },
	{ .path = "/etcdserverpb.Auth/UserList", .message = serve_user_list },
	{ .path = "/etcdserverpb.Auth/UserDelete", .message = serve_user_delete, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/UserChangePassword", .message = serve_password, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/UserGrantRole", .message = serve_user_grant, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/UserRevokeRole", .message = serve_user_revoke, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/RoleAdd", .message = serve_role_add, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/RoleGet", .message = serve_role_get },
	{ .path = "/etcdserverpb.Auth/RoleList", .message = serve_role_list },
	{ .path = "/etcdserverpb.Auth/RoleDelete", .message = serve_role_delete, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/RoleGrantPermission", .message = serve_role_grant, .ended = call_ended },
	{ .path = "/etcdserverpb.Auth/RoleRevokePermission", .message = serve_role_revoke, .ended = call_ended },
};
const size_t etcd_auth_method_count = sizeof(etcd_auth_methods) / sizeof(etcd_auth_methods[0]);
