/* SPDX-License-Identifier: GPL-2.0 */
/* Two processes talk to each other, each at one end of a channel. */
#ifndef SELFTEST_MMU_NOTIFIER_CHANNEL_H
#define SELFTEST_MMU_NOTIFIER_CHANNEL_H

#include <stddef.h>

struct channel {
	int in;
	int out;
};

/* Make both ends. All of these return 0 or a negative errno */
int channel_open(struct channel ends[2]);
int channel_send(const struct channel *end, const void *buf, size_t len);
/* -EPIPE if the other end is closed, also before all of it has come */
int channel_receive(const struct channel *end, void *buf, size_t len);

void channel_close(const struct channel *end);

#endif /* SELFTEST_MMU_NOTIFIER_CHANNEL_H */
