// SPDX-License-Identifier: GPL-2.0
/* A write fault replaces a page by a copy of it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ksm.h"
#include "probe.h"
#include "site.h"
#include "stage.h"

#define WRITTEN	5	/* the page that is written to */

#define EXPECT_COPY(page)					\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_CLEAR,				\
		.first = (page),				\
		.nr = 1,					\
		.one_of = TMN_LOCK_VMA | TMN_LOCK_MMAP_READ,	\
	}

static enum outcome write_byte(struct scene *s, unsigned int page)
{
	return probe_write(scene_page(s, page), "x", 1) ?
	       scene_error(s, "write") : SITE_PASS;
}

static enum outcome write_one(struct scene *s)
{
	return write_byte(s, WRITTEN);
}

static enum outcome protect(struct scene *s)
{
	return mprotect(s->addr, s->size, PROT_READ) ?
	       scene_error(s, "mprotect") : SITE_PASS;
}

/* As a debugger sets a breakpoint: the mapping itself is read-only */
static enum outcome write_by_force(struct scene *s)
{
	off_t offset = (uintptr_t)scene_page(s, WRITTEN);
	int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ssize_t written;

	if (fd < 0)
		return scene_error(s, "/proc/self/mem");
	written = pwrite(fd, "x", 1, offset);
	close(fd);
	if (written == 1)
		return SITE_PASS;
	return scene_skip(s, "no forced writes (CONFIG_PROC_MEM_ALWAYS_FORCE)");
}

static enum outcome write_merged(struct scene *s)
{
	return write_byte(s, KSM_FIRST);
}

const struct site cow_sites[] = {
	{
		.id = "write_zero_page",
		.name = "write over the zero page",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = stage_anon,
		.perform = write_one,
		.expect = EXPECT_COPY(WRITTEN),
	},
	{
		.id = "write_private_file",
		.name = "write to a private file page",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = stage_ext4_private,
		.perform = write_one,
		.expect = EXPECT_COPY(WRITTEN),
	},
	{
		.id = "write_after_fork",
		.name = "write after fork",
		.v4 = "do_wp_page",
		.read_only = true,
		.prepare = stage_anon,
		.arrange = stage_fork,
		.perform = write_one,
		.expect = EXPECT_COPY(WRITTEN),
	},
	{
		.id = "write_by_force",
		.name = "forced write (/proc/self/mem)",
		.v4 = "do_wp_page",
		.untouched = true,
		.read_only = true,
		.prepare = stage_ext4_private,
		.arrange = protect,
		.perform = write_by_force,
		.expect = EXPECT_COPY(WRITTEN),
	},
	{
		.id = "write_ksm_page",
		.name = "write to a KSM page",
		.v4 = "do_wp_page",
		.read_only = true,
		.prepare = ksm_prepare,
		.arrange = ksm_merge_equal,
		.perform = write_merged,
		.undo = ksm_undo,
		.expect = EXPECT_COPY(KSM_FIRST),
	},
	{}
};
