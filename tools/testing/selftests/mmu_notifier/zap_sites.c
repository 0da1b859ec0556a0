// SPDX-License-Identifier: GPL-2.0
/* Pages go, the mapping stays. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "site.h"
#include "stage.h"

#define FIRST	4
#define NR	6

#define EXPECT_ZAP(matches, pages, lock)			\
	{							\
		.rule = (matches),				\
		.event = EVENT_CLEAR,				\
		.first = FIRST,					\
		.nr = (pages),					\
		.one_of = (lock),				\
	}

static enum outcome dontneed(struct scene *s)
{
	return madvise(scene_page(s, FIRST), NR * s->page, MADV_DONTNEED) ?
	       scene_error(s, "MADV_DONTNEED") : SITE_PASS;
}

static enum outcome shrink(struct scene *s)
{
	return ftruncate(s->file, FIRST * s->page) ?
	       scene_error(s, "ftruncate") : SITE_PASS;
}

static enum outcome punch(struct scene *s)
{
	return fallocate(s->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			 FIRST * s->page, NR * s->page) ?
	       scene_error(s, "fallocate") : SITE_PASS;
}

/* Direct I/O goes past the page cache, so mapped pages have to go before */
static enum outcome write_direct(struct scene *s)
{
	size_t len = NR * s->page;
	ssize_t written = -1;
	void *data;

	if (fcntl(s->file, F_SETFL, O_DIRECT))
		return scene_error(s, "O_DIRECT");
	data = aligned_alloc(s->page, len);
	if (data) {
		memset(data, 'd', len);
		written = pwrite(s->file, data, len, FIRST * s->page);
	}
	free(data);
	return written == (ssize_t)len ? SITE_PASS : scene_error(s, "pwrite");
}

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static enum outcome guard(struct scene *s)
{
	if (!madvise(scene_page(s, FIRST), NR * s->page, MADV_GUARD_INSTALL))
		return SITE_PASS;
	if (errno == EINVAL)
		return scene_skip(s, "no MADV_GUARD_INSTALL");
	return scene_error(s, "MADV_GUARD_INSTALL");
}

const struct site zap_sites[] = {
	{
		.id = "dontneed",
		.name = "madvise(MADV_DONTNEED)",
		.v4 = "zap_page_range",
		.prepare = stage_anon,
		.perform = dontneed,
		.expect = EXPECT_ZAP(RULE_EXACT, NR, TMN_LOCK_VMA | TMN_LOCK_MMAP_READ),
	},
	{
		.id = "truncate_tmpfs",
		.name = "truncate a tmpfs file",
		.v4 = "zap_page_range",
		.prepare = stage_tmpfs,
		.perform = shrink,
		.expect = EXPECT_ZAP(RULE_EXACT, PAGES - FIRST, TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "truncate_ext4",
		.name = "truncate an ext4 file",
		.v4 = "zap_page_range",
		.prepare = stage_ext4,
		.perform = shrink,
		.expect = EXPECT_ZAP(RULE_EXACT, PAGES - FIRST, TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "punch_hole",
		.name = "fallocate(PUNCH_HOLE)",
		.v4 = "zap_page_range",
		.prepare = stage_tmpfs,
		.perform = punch,
		.expect = EXPECT_ZAP(RULE_EXACT, NR, TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "direct_write",
		.name = "direct write to an ext4 file",
		.v4 = "zap_page_range",
		.prepare = stage_ext4,
		.perform = write_direct,
		.expect = EXPECT_ZAP(RULE_COVER, NR, TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "guard_install",
		.name = "madvise(MADV_GUARD_INSTALL)",
		.v4 = "zap_page_range",
		.prepare = stage_anon,
		.perform = guard,
		.expect = EXPECT_ZAP(RULE_EXACT, NR, TMN_LOCK_VMA | TMN_LOCK_MMAP_READ),
	},
	{}
};
