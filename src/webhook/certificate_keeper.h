/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One thread that keeps the serving certificate: reads it from files or Secret, as the leader makes, rotates and publishes it, and tells
 * whoever serves. It sleeps until the Secret, a configuration or a file changes or a certificate is due.
 */
#pragma once

#include "webhook/webhook.h"

struct certificate_keeper;
struct tls_identity;

struct certificate_keeper_options {
	const struct webhook_options *webhook; /* borrowed */
	/* On the keeper's thread: a new certificate to serve, with a reference that is borrowed for the call. */
	void (*serve)(struct tls_identity *identity, void *argument);
	void *argument;
};

/* Looks once for a certificate, then goes on in the background. */
struct certificate_keeper *certificate_keeper_start(const struct certificate_keeper_options *options, struct error *err);
void certificate_keeper_lead(struct certificate_keeper *keeper);
void certificate_keeper_stop(struct certificate_keeper *keeper); /* `serve` is not called afterwards */
/* After the caches that it was given are gone. NULL is fine. */
void certificate_keeper_free(struct certificate_keeper *keeper);
