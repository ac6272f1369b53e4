/* SPDX-License-Identifier: Apache-2.0 */
#include "store/space_event.h"

#include <stdlib.h>

struct space_event *space_event_new(struct bytes key)
{
	struct space_event *event = calloc(1, sizeof(*event) + key.length);

	if (event == NULL)
		abort();
	event->references = 1;
	event->key_length = (uint32_t)key.length;
	memcpy(event->key, key.data, key.length);
	return event;
}

struct space_event *space_event_ref(struct space_event *event)
{
	event->references++;
	return event;
}

void space_event_forget_encodings(struct space_event *event)
{
	blob_unref(event->encoded);
	blob_unref(event->encoded_with_previous);
	event->encoded = event->encoded_with_previous = NULL;
}

void space_event_unref(struct space_event *event)
{
	if (event == NULL || --event->references > 0)
		return;
	blob_unref(event->value);
	blob_unref(event->previous_value);
	space_event_forget_encodings(event);
	free(event);
}
