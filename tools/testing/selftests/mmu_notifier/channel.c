// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "channel.h"

int channel_open(struct channel ends[2])
{
	int there[2], back[2];

	if (pipe2(there, O_CLOEXEC))
		return -errno;
	if (pipe2(back, O_CLOEXEC)) {
		int ret = -errno;

		close(there[0]);
		close(there[1]);
		return ret;
	}
	ends[0] = (struct channel){ .in = back[0], .out = there[1] };
	ends[1] = (struct channel){ .in = there[0], .out = back[1] };
	return 0;
}

int channel_send(const struct channel *end, const void *buf, size_t len)
{
	while (len) {
		ssize_t done = write(end->out, buf, len);

		if (done < 0)
			return -errno;
		buf = (const char *)buf + done;
		len -= done;
	}
	return 0;
}

int channel_receive(const struct channel *end, void *buf, size_t len)
{
	while (len) {
		ssize_t done = read(end->in, buf, len);

		if (done <= 0)
			return done ? -errno : -EPIPE;
		buf = (char *)buf + done;
		len -= done;
	}
	return 0;
}

void channel_close(const struct channel *end)
{
	close(end->in);
	close(end->out);
}
