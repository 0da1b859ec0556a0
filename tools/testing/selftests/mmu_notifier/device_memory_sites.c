// SPDX-License-Identifier: GPL-2.0
/*
 * Another device takes the pages: it has them in its own memory, or for its own
 * use only, until the CPU needs them. It is the test driver of HMM.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <lib/test_hmm_uapi.h>

#include "probe.h"
#include "site.h"
#include "stage.h"

static enum outcome open_other(struct scene *s)
{
	s->tool = open("/dev/hmm_dmirror0", O_RDWR | O_CLOEXEC);
	if (s->tool < 0)
		return scene_skip(s, "/dev/hmm_dmirror0: %s", strerror(errno));
	return SITE_PASS;
}

static enum outcome prepare(struct scene *s)
{
	enum outcome outcome = open_other(s);

	return outcome ? outcome : stage_anon(s);
}

/* Let the other device do something to all pages */
static enum outcome order(struct scene *s, unsigned long request)
{
	struct hmm_dmirror_cmd cmd = {
		.addr = (uintptr_t)s->addr,
		.npages = PAGES,
	};
	char *copy = malloc(s->size);
	int ret;

	if (!copy)
		return scene_error(s, "malloc");
	cmd.ptr = (uintptr_t)copy;
	ret = ioctl(s->tool, request, &cmd);
	if (ret)
		scene_error(s, "ioctl on /dev/hmm_dmirror0");
	else if (cmd.cpages != PAGES)
		ret = scene_fail(s, "%llu pages taken",
				 (unsigned long long)cmd.cpages);
	free(copy);
	return ret ? SITE_FAIL : SITE_PASS;
}

static enum outcome take(struct scene *s)
{
	return order(s, HMM_DMIRROR_MIGRATE_TO_DEV);
}

static enum outcome take_exclusively(struct scene *s)
{
	return order(s, HMM_DMIRROR_EXCLUSIVE);
}

/* What it has taken comes back when the CPU reads it, page by page */
static enum outcome get_back(struct scene *s)
{
	char c;

	for (unsigned int page = 0; page < PAGES; page++) {
		if (probe_read(scene_page(s, page), &c, 1))
			return scene_fail(s, "page %u did not come back", page);
	}
	return SITE_PASS;
}

static enum outcome take_and_get_back(struct scene *s)
{
	enum outcome outcome = take(s);

	return outcome ? outcome : get_back(s);
}

static enum outcome take_exclusively_and_get_back(struct scene *s)
{
	enum outcome outcome = take_exclusively(s);

	return outcome ? outcome : get_back(s);
}

const struct site device_memory_sites[] = {
	{
		.id = "device_private",
		.name = "migration to device memory",
		.v4 = "-",
		.prepare = prepare,
		.perform = take,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_MIGRATE,
			.nr = PAGES,
			.locks = TMN_LOCK_MMAP_READ,
		},
	},
	{
		.id = "device_private_return",
		.name = "migration from device memory",
		.v4 = "-",
		.prepare = prepare,
		.perform = take_and_get_back,
		.expect = {
			.rule = RULE_EACH,
			.event = EVENT_MIGRATE,
			.nr = PAGES,
			.one_of = TMN_LOCK_MMAP_READ | TMN_LOCK_VMA,
		},
	},
	{
		.id = "device_exclusive",
		.name = "exclusive access by a device",
		.v4 = "-",
		.prepare = prepare,
		.perform = take_exclusively,
		.expect = {
			.rule = RULE_EACH,
			.event = EVENT_EXCLUSIVE,
			.nr = PAGES,
			.locks = TMN_LOCK_MMAP_READ,
		},
	},
	{
		.id = "device_exclusive_return",
		.name = "the CPU ends exclusive access",
		.v4 = "-",
		.prepare = prepare,
		.perform = take_exclusively_and_get_back,
		.expect = {
			.rule = RULE_EACH,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.one_of = TMN_LOCK_MMAP_READ | TMN_LOCK_VMA,
		},
	},
	{}
};
