// SPDX-License-Identifier: GPL-2.0
/*
 * The agent is another process: it maps a device that is attached to the
 * owner's, and performs what has to come from outside of the owner. It is
 * forked before the owner maps anything, to share no page with it, and then
 * takes orders.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "probe.h"
#include "scene.h"

enum order_type {
	ORDER_ATTACH,
	ORDER_READ,
	ORDER_WRITE,
	ORDER_PAGE_OUT,
};

struct order {
	enum order_type type;
	unsigned int page;
	int ret;
	char data[MAX_PAGE_SIZE];
};

/* Both sides handle one order at a time, so one buffer will do for each */
static struct order order;

static size_t order_size(const struct scene *s)
{
	return offsetof(struct order, data) + s->page;
}

/*
 * Where the segment is mapped. What is mapped to be written cannot be read
 * where the owner cannot write, so reads have a mapping of their own.
 */
struct attachment {
	char *to_read;
	char *to_write;
};

static int obey_attach(struct scene *s, struct attachment *at)
{
	int dev = device_open();
	int ret;

	if (dev < 0)
		return dev;
	ret = device_attach(dev, s->dev);
	if (ret)
		return ret;
	at->to_read = mmap(NULL, s->size, PROT_READ, MAP_SHARED, dev, 0);
	at->to_write = mmap(NULL, s->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			    dev, 0);
	if (at->to_read == MAP_FAILED || at->to_write == MAP_FAILED)
		return -errno;
	return 0;
}

static int obey_page_out(struct scene *s)
{
	struct iovec range = { .iov_base = s->addr, .iov_len = s->size };
	int pidfd = syscall(SYS_pidfd_open, getppid(), 0);
	int ret;

	if (pidfd < 0)
		return -errno;
	ret = syscall(SYS_process_madvise, pidfd, &range, 1, MADV_PAGEOUT, 0);
	if (ret < 0)
		ret = -errno;
	close(pidfd);
	return ret < 0 ? ret : 0;
}

static void agent_main(struct scene *s, const struct channel *end)
{
	struct attachment at = {};

	while (!channel_receive(end, &order, order_size(s))) {
		size_t offset = order.page * s->page;

		switch (order.type) {
		case ORDER_ATTACH:
			order.ret = obey_attach(s, &at);
			break;
		case ORDER_READ:
			order.ret = probe_read(at.to_read + offset, order.data,
					       s->page);
			break;
		case ORDER_WRITE:
			order.ret = probe_write(at.to_write + offset,
						order.data, s->page);
			break;
		case ORDER_PAGE_OUT:
			order.ret = obey_page_out(s);
			break;
		}
		if (channel_send(end, &order, order_size(s)))
			break;
	}
	_exit(0);
}

int agent_start(struct scene *s)
{
	struct channel ends[2];
	int ret = channel_open(ends);

	if (ret)
		return ret;
	s->agent = fork();
	if (!s->agent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		channel_close(&ends[0]);
		agent_main(s, &ends[1]);
	}
	channel_close(&ends[1]);
	s->to_agent = ends[0];
	return s->agent < 0 ? -errno : 0;
}

static int agent_order(struct scene *s, enum order_type type, unsigned int page)
{
	int ret;

	order.type = type;
	order.page = page;
	ret = channel_send(&s->to_agent, &order, order_size(s));
	if (!ret)
		ret = channel_receive(&s->to_agent, &order, order_size(s));
	return ret ? ret : order.ret;
}

int agent_attach(struct scene *s)
{
	return agent_order(s, ORDER_ATTACH, 0);
}

int agent_read(struct scene *s, unsigned int page, void *buf)
{
	int ret = agent_order(s, ORDER_READ, page);

	memcpy(buf, order.data, s->page);
	return ret;
}

int agent_write(struct scene *s, unsigned int page, const void *buf)
{
	memcpy(order.data, buf, s->page);
	return agent_order(s, ORDER_WRITE, page);
}

int agent_page_out(struct scene *s)
{
	return agent_order(s, ORDER_PAGE_OUT, 0);
}

void agent_stop(struct scene *s)
{
	if (s->agent <= 0)
		return;
	channel_close(&s->to_agent);
	waitpid(s->agent, NULL, 0);
	s->agent = 0;
}
