// SPDX-License-Identifier: GPL-2.0
/* The page stays, but is no longer to be written (or read) as before. */
#include <sys/mman.h>

#include "site.h"
#include "stage.h"

static enum outcome protect(struct scene *s, int prot)
{
	return mprotect(scene_page(s, 3), 7 * s->page, prot) ?
	       scene_error(s, "mprotect") : SITE_PASS;
}

static enum outcome protect_read(struct scene *s)
{
	return protect(s, PROT_READ);
}

static enum outcome protect_none(struct scene *s)
{
	return protect(s, PROT_NONE);
}

#define EXPECT_PROTECT						\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_PROTECTION_VMA,			\
		.first = 3,					\
		.nr = 7,					\
		.locks = TMN_LOCK_MMAP_WRITE,			\
	}

/* The kernel may discard what is not written to again: see to it that it is */
static enum outcome free_lazily(struct scene *s)
{
	return stage_madvise(s, MADV_FREE, "MADV_FREE");
}

/* A page under write-back must fault when it is written to again */
static enum outcome sync_pages(struct scene *s)
{
	return msync(s->addr, s->size, MS_SYNC) ?
	       scene_error(s, "msync") : SITE_PASS;
}

const struct site protect_sites[] = {
	{
		.id = "fork",
		.name = "fork",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = stage_fork,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_PROTECTION_PAGE,
			.nr = PAGES,
			.locks = TMN_LOCK_MMAP_WRITE,
		},
	},
	{
		.id = "mprotect_read",
		.name = "mprotect(PROT_READ)",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = protect_read,
		.expect = EXPECT_PROTECT,
	},
	{
		.id = "mprotect_none",
		.name = "mprotect(PROT_NONE)",
		.v4 = "-",
		.prepare = stage_tmpfs,
		.perform = protect_none,
		.expect = EXPECT_PROTECT,
	},
	{
		.id = "madvise_free",
		.name = "madvise(MADV_FREE)",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = free_lazily,
		.expect = {
			.rule = RULE_EXACT,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.one_of = TMN_LOCK_VMA | TMN_LOCK_MMAP_READ,
		},
	},
	{
		.id = "msync",
		.name = "msync of an ext4 file",
		.v4 = "page_mkclean",
		.prepare = stage_ext4,
		.perform = sync_pages,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_PROTECTION_PAGE,
			.nr = PAGES,
			.locks = TMN_LOCK_I_MMAP_READ,
		},
	},
	{}
};
