// SPDX-License-Identifier: GPL-2.0
/* Memory is reclaimed, or looked at for what could be. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "probe.h"
#include "site.h"
#include "stage.h"

#define EXPECT_UNMAP_FOLIOS(lock)				\
	{							\
		.rule = RULE_COVER,				\
		.event = EVENT_CLEAR,				\
		.nr = PAGES,					\
		.locks = (lock),				\
	}

static enum outcome page_out(struct scene *s)
{
	return stage_madvise(s, MADV_PAGEOUT, "MADV_PAGEOUT");
}

static enum outcome page_out_by_agent(struct scene *s)
{
	int ret = agent_page_out(s);

	if (!ret)
		return SITE_PASS;
	return scene_fail(s, "process_madvise: %s", strerror(-ret));
}

/*
 * Reclaim of a memory cgroup that contains little but the mirrored pages
 * looks at their young bits first. It may take them afterwards.
 */
#define CGROUP		"/sys/fs/cgroup/"
#define OUR_CGROUP	CGROUP "mmu_notifier/"

/* The multi-gen LRU, if there is one, looks at young bits in another way */
#define LRU_GEN		"/sys/kernel/mm/lru_gen/enabled"

static char lru_gen[16];	/* as it was found */

static enum outcome set_lru_gen(struct scene *s, const char *value)
{
	int fd = open(LRU_GEN, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return scene_skip(s, "no multi-gen LRU");
	len = read(fd, lru_gen, sizeof(lru_gen) - 1);
	close(fd);
	if (len <= 0)
		return scene_error(s, LRU_GEN);
	return stage_need(s, LRU_GEN, value);
}

static enum outcome enter_cgroup(struct scene *s)
{
	enum outcome outcome;

	outcome = stage_need(s, CGROUP "cgroup.subtree_control", "+memory");
	if (outcome)
		return outcome;
	if (mkdir(OUR_CGROUP, 0755) && errno != EEXIST)
		return scene_skip(s, OUR_CGROUP ": %s", strerror(errno));
	outcome = stage_need(s, OUR_CGROUP "cgroup.procs", "0");
	return outcome ? outcome : stage_anon_swap(s);
}

static void leave_cgroup(struct scene *s)
{
	stage_write(CGROUP "cgroup.procs", "0");
	rmdir(OUR_CGROUP);
	if (lru_gen[0])
		stage_write(LRU_GEN, lru_gen);
}

static enum outcome prepare_lists(struct scene *s)
{
	enum outcome outcome = SITE_PASS;

	if (!access(LRU_GEN, F_OK))
		outcome = set_lru_gen(s, "n");
	return outcome ? outcome : enter_cgroup(s);
}

static enum outcome prepare_generations(struct scene *s)
{
	enum outcome outcome = set_lru_gen(s, "y");

	return outcome ? outcome : enter_cgroup(s);
}

/*
 * The device has faulted the pages in more than once, which has activated them:
 * deactivate them, or reclaim may not come to them. That it cannot reclaim as
 * much as it is asked to is no failure.
 */
static enum outcome reclaim_cgroup(struct scene *s)
{
	enum outcome outcome = stage_madvise(s, MADV_COLD, "MADV_COLD");
	int ret;

	if (outcome)
		return outcome;
	ret = stage_write(OUR_CGROUP "memory.reclaim", "1M");
	if (!ret || ret == -EAGAIN)
		return SITE_PASS;
	return scene_skip(s, "memory.reclaim: %s", strerror(-ret));
}

static enum outcome set_idle(struct scene *s)
{
	int fd = open("/sys/kernel/mm/page_idle/bitmap", O_WRONLY | O_CLOEXEC);
	enum outcome outcome = SITE_PASS;

	if (fd < 0)
		return scene_skip(s, "page_idle: %s", strerror(errno));
	for (unsigned int page = 0; !outcome && page < PAGES; page++) {
		unsigned long pfn = probe_pfn(scene_page(s, page));
		uint64_t bit = 1ULL << pfn % 64;

		if (!pfn)
			outcome = scene_skip(s, "page frames are hidden");
		else if (pwrite(fd, &bit, sizeof(bit), pfn / 64 * 8) < 0)
			outcome = scene_error(s, "page_idle");
	}
	close(fd);
	return outcome;
}

static enum outcome deactivate(struct scene *s)
{
	return stage_madvise(s, MADV_COLD, "MADV_COLD");
}

static enum outcome clear_young_bits(struct scene *s)
{
	return stage_need(s, "/proc/self/clear_refs", "1");
}

const struct site reclaim_sites[] = {
	{
		.id = "pageout_anon",
		.name = "swap out",
		.v4 = "try_to_unmap",
		.prepare = stage_anon_swap,
		.perform = page_out,
		.expect = EXPECT_UNMAP_FOLIOS(TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "pageout_tmpfs",
		.name = "swap out of tmpfs",
		.v4 = "try_to_unmap",
		.prepare = stage_tmpfs_swap,
		.perform = page_out,
		.expect = EXPECT_UNMAP_FOLIOS(TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "pageout_ext4",
		.name = "page out of an ext4 file",
		.v4 = "try_to_unmap",
		.prepare = stage_ext4,
		.perform = page_out,
		.expect = EXPECT_UNMAP_FOLIOS(TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "pageout_other",
		.name = "process_madvise(MADV_PAGEOUT)",
		.v4 = "try_to_unmap",
		.prepare = stage_anon_swap,
		.perform = page_out_by_agent,
		.expect = EXPECT_UNMAP_FOLIOS(TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "reclaim_aging",
		.name = "reclaim of a cgroup: aging",
		.v4 = "page_referenced",
		.prepare = prepare_lists,
		.perform = reclaim_cgroup,
		.undo = leave_cgroup,
		.expect = {
			.rule = RULE_AGE,
			.nr = PAGES,
			.locks = TMN_LOCK_PTE | TMN_LOCK_ANON_VMA_READ,
			.age = TMN_CLEAR_FLUSH_YOUNG,
		},
	},
	{
		.id = "page_idle",
		.name = "idle page tracking",
		.v4 = "-",
		.prepare = stage_anon,
		.arrange = stage_drain_lru,
		.perform = set_idle,
		.expect = {
			.rule = RULE_AGE,
			.nr = PAGES,
			.locks = TMN_LOCK_PTE | TMN_LOCK_ANON_VMA_READ,
			.age = TMN_CLEAR_YOUNG,
			.keeps = true,
		},
	},
	{
		.id = "madvise_cold",
		.name = "madvise(MADV_COLD)",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = deactivate,
		.expect = { .rule = RULE_SILENT },
	},
	{
		.id = "clear_refs",
		.name = "clear_refs, young bits",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = clear_young_bits,
		.expect = { .rule = RULE_SILENT },
	},
	{}
};

const struct site lru_gen_sites[] = {
	{
		.id = "reclaim_generations",
		.name = "reclaim of a cgroup: generations",
		.v4 = "page_referenced",
		.prepare = prepare_generations,
		.perform = reclaim_cgroup,
		.undo = leave_cgroup,
		.expect = {
			.rule = RULE_AGE,
			.nr = PAGES,
			.locks = TMN_LOCK_PTE,
			.age = TMN_CLEAR_YOUNG,
		},
	},
	{}
};
