// SPDX-License-Identifier: GPL-2.0
/* Pages are moved to another NUMA node, or made to fault to learn which. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "huge.h"
#include "node.h"
#include "site.h"
#include "stage.h"

#define EXPECT_MIGRATION(lock)					\
	{							\
		.rule = RULE_COVER,				\
		.event = EVENT_CLEAR,				\
		.nr = PAGES,					\
		.locks = (lock),				\
	}

static enum outcome move_all(struct scene *s)
{
	return node_move_pages(s, PAGES);
}

/* All that this process has on one node goes to another */
static enum outcome move_process(struct scene *s)
{
	int from = node_of(s, 0), to = node_other(from);
	unsigned long old, new;

	if (from < 0 || to < 0)
		return scene_skip(s, "pages on node %d, none but it", from);
	old = 1UL << from;
	new = 1UL << to;
	/* What it returns is how many of all pages could not be moved */
	if (syscall(SYS_migrate_pages, 0, 8 * sizeof(old), &old, &new) < 0)
		return scene_error(s, "migrate_pages");
	return node_arrived(s, PAGES, to);
}

#define BALANCING	"/proc/sys/kernel/numa_balancing"
#define DEBUG		"/sys/kernel/debug/sched/numa_balancing/"
#define SCAN_SECONDS	60

/* Look at all memory of a process after every 100 ms that it has run */
static enum outcome need_balancing(struct scene *s)
{
	enum outcome outcome;

	outcome = stage_need(s, DEBUG "scan_delay_ms", "100");
	if (!outcome)
		outcome = stage_need(s, DEBUG "scan_period_min_ms", "100");
	return outcome ? outcome :
	       stage_need(s, DEBUG "scan_period_max_ms", "100");
}

static enum outcome prepare_balancing(struct scene *s)
{
	enum outcome outcome = need_balancing(s);

	return outcome ? outcome : stage_anon(s);
}

static enum outcome prepare_huge_balancing(struct scene *s)
{
	enum outcome outcome = need_balancing(s);

	return outcome ? outcome : huge_anon(s);
}

/* What is where it is used is left alone, though announced */
static enum outcome arrange_balancing(struct scene *s)
{
	return node_move_away(s, PAGES);
}

static enum outcome arrange_huge_balancing(struct scene *s)
{
	enum outcome outcome = node_move_away(s, 1);

	return outcome ? outcome : huge_is_mapped(s);
}

/* Of the whole machine, from /proc/vmstat; 0 if there is no such event */
static unsigned long count_events(const char *name)
{
	FILE *file = fopen("/proc/vmstat", "re");
	unsigned long count = 0;
	char found[64];

	if (!file)
		return 0;
	while (fscanf(file, "%63s %lu", found, &count) == 2) {
		if (!strcmp(found, name))
			break;
		count = 0;
	}
	fclose(file);
	return count;
}

/* Run until the device has lost a pte, and the event has happened */
static enum outcome balance(struct scene *s, const char *event)
{
	unsigned long before = count_events(event);
	enum outcome outcome = stage_need(s, BALANCING, "1");
	struct tmn_check check = { .ptes = PAGES };
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	while (!outcome && (check.ptes == PAGES ||
			    count_events(event) == before)) {
		int ret = device_check(s->dev, &check);

		clock_gettime(CLOCK_MONOTONIC, &now);
		if (ret || now.tv_sec - start.tv_sec > SCAN_SECONDS)
			outcome = scene_fail(s, "not scanned: %d, %lu %s", ret,
					     count_events(event) - before,
					     event);
	}
	return outcome ? outcome : stage_need(s, BALANCING, "0");
}

static enum outcome be_balanced(struct scene *s)
{
	return balance(s, "numa_pte_updates");
}

static enum outcome be_huge_balanced(struct scene *s)
{
	return balance(s, "numa_huge_pte_updates");
}

static void end_balancing(struct scene *s)
{
	stage_write(BALANCING, "0");
}

#define EXPECT_BALANCING					\
	{							\
		.rule = RULE_COVER,				\
		.event = EVENT_PROTECTION_VMA,			\
		.nr = PAGES,					\
		.locks = TMN_LOCK_MMAP_READ,			\
	}

const struct site node_sites[] = {
	{
		.id = "move_pages_anon",
		.name = "move_pages",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = move_all,
		.expect = EXPECT_MIGRATION(TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "move_pages_tmpfs",
		.name = "move_pages of tmpfs",
		.v4 = "-",
		.prepare = stage_tmpfs,
		.perform = move_all,
		.expect = EXPECT_MIGRATION(TMN_LOCK_I_MMAP_READ),
	},
	{
		.id = "migrate_pages",
		.name = "migrate_pages",
		.v4 = "-",
		.prepare = stage_anon,
		.perform = move_process,
		.expect = EXPECT_MIGRATION(TMN_LOCK_ANON_VMA_READ),
	},
	{
		.id = "numa_balancing",
		.name = "NUMA balancing makes pages fault",
		.v4 = "-",
		.prepare = prepare_balancing,
		.arrange = arrange_balancing,
		.perform = be_balanced,
		.undo = end_balancing,
		.expect = EXPECT_BALANCING,
	},
	{}
};

const struct site thp_node_sites[] = {
	{
		.id = "thp_numa_balancing",
		.name = "NUMA balancing makes a THP fault",
		.v4 = "-",
		.prepare = prepare_huge_balancing,
		.arrange = arrange_huge_balancing,
		.perform = be_huge_balanced,
		.undo = end_balancing,
		.expect = EXPECT_BALANCING,
	},
	{}
};
