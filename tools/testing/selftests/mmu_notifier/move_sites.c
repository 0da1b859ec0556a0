// SPDX-License-Identifier: GPL-2.0
/* The page moves to another address, or another page to this one. */
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ksm.h"
#include "probe.h"
#include "site.h"
#include "stage.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static enum outcome move(struct scene *s, int flags)
{
	void *map = mremap(s->addr, s->size, s->size,
			   MREMAP_MAYMOVE | MREMAP_FIXED | flags, s->spare);

	return map == s->spare ? SITE_PASS : scene_error(s, "mremap");
}

static enum outcome move_away(struct scene *s)
{
	return move(s, 0);
}

static enum outcome move_contents(struct scene *s)
{
	return move(s, MREMAP_DONTUNMAP);
}

#define EXPECT_MOVE						\
	{							\
		.rule = RULE_EXACT,				\
		.event = EVENT_UNMAP,				\
		.nr = PAGES,					\
		.locks = TMN_LOCK_MMAP_WRITE,			\
	}

/* Returns a descriptor that can move pages to scene->spare, or -1 */
static int open_uffd(const struct scene *s)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_FEATURE_MOVE,
	};
	struct uffdio_register to = {
		.range = { .start = (uintptr_t)s->spare, .len = s->size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);

	if (uffd < 0)
		return -1;
	if (!ioctl(uffd, UFFDIO_API, &api) &&
	    !ioctl(uffd, UFFDIO_REGISTER, &to))
		return uffd;
	close(uffd);
	return -1;
}

static enum outcome uffd_prepare(struct scene *s)
{
	void *map = mmap(s->spare, s->size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	int uffd;

	if (map == MAP_FAILED)
		return scene_error(s, "mmap");
	uffd = open_uffd(s);
	if (uffd < 0)
		return scene_skip(s, "no UFFDIO_MOVE: %s", strerror(errno));
	close(uffd);
	return stage_anon(s);
}

static enum outcome uffd_move(struct scene *s)
{
	struct uffdio_move request = {
		.dst = (uintptr_t)s->spare,
		.src = (uintptr_t)s->addr,
		.len = s->size,
	};
	int uffd = open_uffd(s);
	int ret;

	if (uffd < 0)
		return scene_error(s, "userfaultfd");
	ret = ioctl(uffd, UFFDIO_MOVE, &request);
	if (ret)
		scene_error(s, "UFFDIO_MOVE");
	close(uffd);
	return ret ? SITE_FAIL : SITE_PASS;
}

const struct site move_sites[] = {
	{
		.id = "mremap_move",
		.name = "mremap",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = move_away,
		.expect = EXPECT_MOVE,
	},
	{
		.id = "mremap_dontunmap",
		.name = "mremap(MREMAP_DONTUNMAP)",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = move_contents,
		.expect = EXPECT_MOVE,
	},
	{
		.id = "uffdio_move",
		.name = "ioctl(UFFDIO_MOVE)",
		.v4 = "-",
		.prepare = uffd_prepare,
		.perform = uffd_move,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_CLEAR,
			.nr = PAGES,
			.one_of = TMN_LOCK_VMA | TMN_LOCK_MMAP_READ,
		},
	},
	{
		.id = "ksm_merge",
		.name = "KSM merges equal pages",
		.v4 = "-",
		.prepare = ksm_prepare,
		.perform = ksm_merge_equal,
		.undo = ksm_undo,
		.expect = {
			.rule = RULE_COVER,
			.event = EVENT_CLEAR,
			.first = KSM_FIRST,
			.nr = 2,
			.locks = TMN_LOCK_MMAP_READ,
		},
	},
	{}
};
