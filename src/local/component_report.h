/* SPDX-License-Identifier: Apache-2.0 */
/* Shows component_fetch's progress to a person: one line that is rewritten on a terminal, plain lines elsewhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "local/component_fetch.h"

struct component_reporter {
	FILE *stream;     /* stderr as a rule */
	bool terminal;    /* rewrite the line */
	bool open;        /* a line that may be rewritten stands there */
	uint64_t last_ms; /* elapsed time of the file when it was last shown on a plain stream */
};

/* terminal is asked of the stream; NO_COLOR and TERM=dumb count as none. */
void component_reporter_init(struct component_reporter *reporter, FILE *stream);
/* For component_fetch_options.progress; context is the reporter. */
void component_reporter_show(void *context, const struct component_progress *progress);
/* Ends a line that stands open. */
void component_reporter_end(struct component_reporter *reporter);
