// SPDX-License-Identifier: GPL-2.0
/*
 * Benchmark of the MMU notifiers: intervals, see mmu_notifier_bench.c.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mmu_notifier.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "mmu_notifier_bench.h"

static bool invalidate(struct mmu_interval_notifier *interval,
		       const struct mmu_notifier_range *range,
		       unsigned long cur_seq)
{
	mmu_interval_set_seq(interval, cur_seq);
	return true;
}

static const struct mmu_interval_notifier_ops ops = {
	.invalidate = invalidate,
};

/* Intervals of a page each, with a hole of a page behind each */
static unsigned long address(unsigned int nr)
{
	return BENCH_BASE + nr * 2 * PAGE_SIZE;
}

int bench_insert(struct mmu_interval_notifier *interval, struct mm_struct *mm,
		 unsigned int nr)
{
	return mmu_interval_notifier_insert(interval, mm, address(nr),
					    PAGE_SIZE, &ops);
}

static void remove_all(struct mmu_interval_notifier *intervals, unsigned int nr)
{
	while (nr--)
		mmu_interval_notifier_remove(&intervals[nr]);
}

static int insert_all(struct mmu_interval_notifier *intervals,
		      struct mm_struct *mm, unsigned int nr)
{
	unsigned int i;
	int ret;

	for (i = 0; i < nr; i++) {
		ret = bench_insert(&intervals[i], mm, i);
		if (ret) {
			remove_all(intervals, i);
			return ret;
		}
	}
	return 0;
}

/*
 * Sections
 */

static void section_samples(const char *name, struct mm_struct *mm,
			    unsigned int nr, unsigned long start)
{
	static struct bench_samples samples;

	bench_sections(mm, start, &samples);
	bench_report_ns(name, "intervals", nr, &samples, BENCH_SECTIONS);
}

static int section_intervals(unsigned int nr)
{
	struct mmu_interval_notifier *intervals;
	struct mm_struct *mm = mm_alloc();
	int ret = -ENOMEM;

	if (!mm)
		return ret;
	intervals = kvzalloc_objs(*intervals, nr);
	if (!intervals)
		goto put;
	ret = insert_all(intervals, mm, nr);
	if (ret)
		goto free;
	section_samples("section_hit", mm, nr, address(nr / 2));
	section_samples("section_miss", mm, nr, address(nr / 2) + PAGE_SIZE);
	remove_all(intervals, nr);
free:
	kvfree(intervals);
put:
	mmput(mm);
	return ret;
}

/* 25 samples of 10000 sections that overlap one interval, or none */
int bench_section_intervals(void)
{
	return section_intervals(1) ?: section_intervals(100) ?:
	       section_intervals(10000);
}

/*
 * A storm: threads in sections of other intervals, which overlap each other, so
 * that one is always open but for a lull in every 25 ms.
 */

#define STORM_MS	20
#define LULL_MS		5

struct blower {
	struct task_struct *task;
	struct mm_struct *mm;
	unsigned int nr;
};

static void blow(const struct blower *blower)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, blower->mm,
				address(blower->nr),
				address(blower->nr) + PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	usleep_range(700 + 200 * blower->nr, 800 + 200 * blower->nr);
	mmu_notifier_invalidate_range_end(&range);
}

static int blower_thread(void *blower)
{
	while (!kthread_should_stop()) {
		u32 phase;

		div_u64_rem(ktime_to_ms(ktime_get()),
			    STORM_MS + LULL_MS, &phase);
		if (phase < STORM_MS)
			blow(blower);
		else
			usleep_range(100, 200);
	}
	return 0;
}

#define BLOWERS		3

static struct blower blowers[BLOWERS];

static void storm_end(unsigned int nr)
{
	while (nr--)
		kthread_stop(blowers[nr].task);
}

static int storm_start(struct mm_struct *mm)
{
	unsigned int i;

	for (i = 0; i < BLOWERS; i++) {
		struct blower *blower = &blowers[i];

		blower->mm = mm;
		blower->nr = i;
		blower->task = kthread_run(blower_thread, blower,
					   "bench_storm/%u", i);
		if (IS_ERR(blower->task)) {
			storm_end(i);
			return PTR_ERR(blower->task);
		}
	}
	return 0;
}

/* The calls that are timed, on intervals that the storm does not touch */

#define VICTIMS		200

typedef void (*victim_fn)(struct mmu_interval_notifier *interval,
			  struct mm_struct *mm, struct bench_samples *samples);

static void read_begin(struct mmu_interval_notifier *interval,
		       struct mm_struct *mm, struct bench_samples *samples)
{
	u64 start;

	bench_section(mm, interval->interval_tree.start);
	start = ktime_get_ns();
	mmu_interval_read_begin(interval);
	bench_sample(samples, start);
	mmu_interval_notifier_remove(interval);
}

static void remove(struct mmu_interval_notifier *interval,
		   struct mm_struct *mm, struct bench_samples *samples)
{
	u64 start = ktime_get_ns();

	mmu_interval_notifier_remove(interval);
	bench_sample(samples, start);
}

static int in_storm(const char *name, struct mm_struct *mm,
		    struct mmu_interval_notifier *intervals,
		    victim_fn victim)
{
	static struct bench_samples samples;
	int i, ret = insert_all(intervals, mm, BLOWERS + VICTIMS);

	if (ret)
		return ret;
	ret = storm_start(mm);
	samples.nr = 0;
	for (i = BLOWERS; i < BLOWERS + VICTIMS; i++) {
		if (ret)
			mmu_interval_notifier_remove(&intervals[i]);
		else
			victim(&intervals[i], mm, &samples);
		usleep_range(1000, 2000);
	}
	if (!ret) {
		storm_end(BLOWERS);
		bench_report_distribution(name, &samples);
	}
	remove_all(intervals, BLOWERS);
	return ret;
}

static int storm(const char *name, victim_fn victim)
{
	struct mmu_interval_notifier *intervals;
	struct mm_struct *mm = mm_alloc();
	int ret = -ENOMEM;

	if (!mm)
		return ret;
	intervals = kvzalloc_objs(*intervals, BLOWERS + VICTIMS);
	if (intervals)
		ret = in_storm(name, mm, intervals, victim);
	kvfree(intervals);
	mmput(mm);
	return ret;
}

/* 200 samples: wait for the end of a section that is over already */
int bench_read_begin_storm(void)
{
	return storm("read_begin_storm", read_begin);
}

/* 200 samples: remove what no section is in */
int bench_remove_storm(void)
{
	return storm("remove_storm", remove);
}
