// SPDX-License-Identifier: GPL-2.0
/*
 * A transparent huge page moves, is split for good, goes to swap, or comes to be
 * from small pages. Most of that does not happen to pages that a device holds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "huge.h"
#include "node.h"
#include "site.h"
#include "stage.h"
#include "uffd.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define EXPECT_CHANGE(of_event, lock)				\
	{							\
		.rule = RULE_HUGE,				\
		.event = (of_event),				\
		.nr = PAGES,					\
		.locks = (lock),				\
	}

static enum outcome move(struct scene *s)
{
	void *map = mremap(s->huge, s->huge_size, s->huge_size,
			   MREMAP_MAYMOVE | MREMAP_FIXED, s->huge_spare);

	return map == s->huge_spare ? SITE_PASS : scene_error(s, "mremap");
}

static enum outcome uffd_prepare(struct scene *s)
{
	if (mmap(s->huge_spare, s->huge_size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		return scene_error(s, "mmap");
	return huge_anon(s);
}

static enum outcome uffd_arrange(struct scene *s)
{
	enum outcome outcome = uffd_open(s, UFFD_FEATURE_MOVE);

	if (!outcome)
		outcome = uffd_register(s, s->huge_spare, s->huge_size,
					UFFDIO_REGISTER_MODE_MISSING);
	return outcome ? outcome : huge_is_mapped(s);
}

static enum outcome uffd_move(struct scene *s)
{
	struct uffdio_move request = {
		.dst = (uintptr_t)s->huge_spare,
		.src = (uintptr_t)s->huge,
		.len = s->huge_size,
	};
	enum outcome outcome = uffd_ioctl(s, UFFDIO_MOVE, &request);

	/* Who reads what has moved away must not wait for us */
	close(s->tool);
	s->tool = -1;
	return outcome;
}

static enum outcome page_out(struct scene *s)
{
	return madvise(s->huge, s->huge_size, MADV_PAGEOUT) ?
	       scene_error(s, "MADV_PAGEOUT") : SITE_PASS;
}

static enum outcome prepare_swap(struct scene *s)
{
	enum outcome outcome = stage_swap(s);

	return outcome ? outcome : huge_anon(s);
}

/* Nothing of this is an error for debugfs if the page cannot be split */
static enum outcome split(struct scene *s)
{
	char where[80];

	snprintf(where, sizeof(where), "%d,%#lx,%#lx", getpid(),
		 (unsigned long)s->huge,
		 (unsigned long)(s->huge + s->huge_size));
	return stage_need(s, "/sys/kernel/debug/split_huge_pages", where);
}

/* The pages are small because huge ones were not wanted. That has to end. */
static enum outcome collapse(struct scene *s)
{
	int ret;

	if (madvise(s->huge, s->huge_size, MADV_HUGEPAGE))
		return scene_error(s, "MADV_HUGEPAGE");
	ret = madvise(s->huge, s->huge_size, MADV_COLLAPSE);
	if (s->manner->holds)
		return ret && (errno == EAGAIN || errno == EBUSY) ? SITE_PASS :
		       scene_fail(s, "MADV_COLLAPSE of held pages: %d, %s",
				  ret, strerror(errno));
	return ret ? scene_error(s, "MADV_COLLAPSE") : huge_is_mapped(s);
}

static enum outcome move_to_node(struct scene *s)
{
	return node_move_pages(s, 1);
}

const struct site thp_change_sites[] = {
	{
		.id = "thp_mremap",
		.name = "mremap of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = move,
		.expect = EXPECT_CHANGE(EVENT_UNMAP, TMN_LOCK_MMAP_WRITE),
	},
	{
		.id = "thp_uffdio_move",
		.name = "ioctl(UFFDIO_MOVE) of a THP",
		.v4 = "-",
		.prepare = uffd_prepare,
		.arrange = uffd_arrange,
		.perform = uffd_move,
		.expect = {
			.rule = RULE_HUGE,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.one_of = TMN_LOCK_VMA | TMN_LOCK_MMAP_READ,
		},
	},
	{
		.id = "thp_move_pages",
		.name = "move_pages of a THP",
		.v4 = "-",
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = move_to_node,
		.expect = EXPECT_CHANGE(EVENT_CLEAR, TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "thp_pageout",
		.name = "swap out of a THP",
		.v4 = "try_to_unmap",
		.spares_held = true,
		.prepare = prepare_swap,
		.arrange = huge_is_mapped,
		.perform = page_out,
		.expect = EXPECT_CHANGE(EVENT_CLEAR, TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "thp_split",
		.name = "split of a THP",
		.v4 = "-",
		.spares_held = true,
		.prepare = huge_anon,
		.arrange = huge_is_mapped,
		.perform = split,
		.expect = EXPECT_CHANGE(EVENT_CLEAR, TMN_LOCK_ANON_VMA_WRITE),
	},
	{
		.id = "collapse_anon",
		.name = "MADV_COLLAPSE",
		.v4 = "-",
		.spares_held = true,
		.prepare = huge_anon_small,
		.arrange = huge_is_not_mapped,
		.perform = collapse,
		.expect = EXPECT_CHANGE(EVENT_CLEAR, TMN_LOCK_MMAP_WRITE |
						     TMN_LOCK_ANON_VMA_WRITE),
	},
	{
		.id = "collapse_tmpfs",
		.name = "MADV_COLLAPSE of tmpfs",
		.v4 = "-",
		.spares_held = true,
		.prepare = huge_tmpfs_small,
		.arrange = huge_is_not_mapped,
		.perform = collapse,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.locks = TMN_LOCK_I_MMAP_READ,
		},
	},
	{}
};
