// SPDX-License-Identifier: GPL-2.0
/*
 * Benchmark of the MMU notifiers. It uses the functions that drivers use, and
 * nothing else, so it measures any implementation of them.
 *
 *	mmu_notifier_bench.run=all
 *	mmu_notifier_bench.run=section_unused,register_next
 *
 * on the command line runs all jobs, or those with a figure that is named, when
 * user space has started: before that all grace periods are expedited. Then the
 * machine is powered off, or restarted if it has no such switch. Each figure is
 * a line
 *
 *	bench: NAME PARAM UNIT VALUE
 *
 * and is the median of several samples, the number of which is stated with each
 * job, unless PARAM names another percentile. A job that fails says so, and the
 * last line is "bench: done".
 */
#define pr_fmt(fmt) "bench: " fmt

#include <linux/delay.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/mmu_notifier.h>
#include <linux/moduleparam.h>
#include <linux/reboot.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/string.h>

#include "mmu_notifier_bench.h"

static char *run;
module_param(run, charp, 0);
MODULE_PARM_DESC(run, "What to measure, by the names of the figures, or all");

static unsigned int repeat = 1;
module_param(repeat, uint, 0);
MODULE_PARM_DESC(repeat, "How many times to run them");

/*
 * Figures
 */

void bench_sample(struct bench_samples *samples, u64 start)
{
	u64 ns = ktime_get_ns() - start;

	if (!WARN_ON_ONCE(samples->nr == BENCH_MAX_SAMPLES))
		samples->ns[samples->nr++] = ns;
}

static int compare_ns(const void *a, const void *b)
{
	u64 left = *(const u64 *)a, right = *(const u64 *)b;

	return left < right ? -1 : left > right;
}

void bench_report(const char *name, const char *param, unsigned long value,
		  const char *unit, u64 number)
{
	pr_info("%s %s=%lu %s %llu\n", name, param, value, unit, number);
}

/* The median, each sample having taken @loops times what is reported */
void bench_report_ns(const char *name, const char *param, unsigned long value,
		     struct bench_samples *samples, unsigned int loops)
{
	u32 milli;
	u64 ns;

	if (WARN_ON_ONCE(!samples->nr))
		return;
	sort(samples->ns, samples->nr, sizeof(u64), compare_ns, NULL);
	ns = samples->ns[samples->nr / 2];
	if (loops == 1) {
		bench_report(name, param, value, "ns", ns);
		return;
	}
	ns = div_u64_rem(div_u64(ns * 1000, loops), 1000, &milli);
	pr_info("%s %s=%lu ns %llu.%03u\n", name, param, value, ns, milli);
}

/* The same for all samples as for the median, as far as it can be seen */
void bench_report_distribution(const char *name, struct bench_samples *samples)
{
	static const unsigned int percentiles[] = {
		0, 10, 25, 50, 75, 90, 99, 100,
	};
	unsigned int i, last = samples->nr - 1;

	sort(samples->ns, samples->nr, sizeof(u64), compare_ns, NULL);
	for (i = 0; i < ARRAY_SIZE(percentiles); i++)
		bench_report(name, "percentile", percentiles[i], "ns",
			     samples->ns[last * percentiles[i] / 100]);
}

/* Let end what the preparations, or the last sample, have left behind */
void bench_settle(void)
{
	fsleep(10 * USEC_PER_MSEC);
}

/*
 * Subscribers
 */

static int empty_start(struct mmu_notifier *subscription,
		       const struct mmu_notifier_range *range)
{
	return 0;
}

static void empty_end(struct mmu_notifier *subscription,
		      const struct mmu_notifier_range *range)
{
}

static void empty_release(struct mmu_notifier *subscription,
			  struct mm_struct *mm)
{
}

static void free_subscription(struct mmu_notifier *subscription)
{
	kfree(subscription);
}

static const struct mmu_notifier_ops empty_ops = {
	.release = empty_release,
	.invalidate_range_start = empty_start,
	.invalidate_range_end = empty_end,
	.free_notifier = free_subscription,
};

struct mmu_notifier bench_subs[11];

int bench_subscribe(struct mmu_notifier *subscription, struct mm_struct *mm)
{
	subscription->ops = &empty_ops;
	return mmu_notifier_register(subscription, mm);
}

/*
 * Address spaces
 */

/*
 * VMAs of a page each with a hole behind it, so that they are not merged and do
 * not share an anon_vma. Each gets one when its page is populated.
 */
static int map_pages(unsigned int nr)
{
	unsigned long addr, flags;
	unsigned int i;

	flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE;
	for (i = 0; i < nr; i++) {
		addr = BENCH_BASE + i * 2 * PAGE_SIZE;
		addr = vm_mmap(NULL, addr, PAGE_SIZE, PROT_READ | PROT_WRITE,
			       flags, 0);
		if (IS_ERR_VALUE(addr))
			return (int)addr;
		cond_resched();
	}
	return 0;
}

struct mm_struct *bench_mm_with_vmas(unsigned int nr)
{
	struct mm_struct *mm = mm_alloc();
	int ret;

	if (!mm)
		return NULL;
	mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm, &current->signal->rlim[RLIMIT_STACK]);
	kthread_use_mm(mm);
	ret = map_pages(nr);
	kthread_unuse_mm(mm);
	if (ret || mm->map_count != nr) {
		pr_err("no mm with %u VMAs: %d\n", nr, ret);
		mmput(mm);
		return NULL;
	}
	return mm;
}

/*
 * The jobs
 */

static const struct job {
	int (*run)(void);
	const char *rows[4];
} jobs[] = {
	{ bench_section_unused, { "section_unused" } },
	{ bench_section_one, { "section_one" } },
	{ bench_section_many, { "section_many" } },
	{ bench_section_parallel, { "section_parallel" } },
	{ bench_section_intervals, { "section_hit", "section_miss" } },
	{ bench_read_begin_storm, { "read_begin_storm" } },
	{ bench_remove_storm, { "remove_storm" } },
	{ bench_grace_period, { "grace_period_rcu", "grace_period_srcu_fast" } },
	{ bench_register, { "register_first", "register_next" } },
	{ bench_register_signal, { "register_signal" } },
	{ bench_unregister_idle, { "unregister_idle" } },
	{ bench_unregister_stuck, { "unregister_stuck" } },
	{ bench_exit_release, { "exit_release" } },
	{ bench_registry_bytes, { "registry_bytes" } },
	{ bench_struct_bytes, { "mm_bytes", "subscription_bytes",
				"interval_bytes", "range_bytes" } },
};

static bool wanted(const struct job *job)
{
	int i;

	if (!strcmp(run, "all"))
		return true;
	for (i = 0; i < ARRAY_SIZE(job->rows) && job->rows[i]; i++) {
		if (strstr(run, job->rows[i]))
			return true;
	}
	return false;
}

static int bench_thread(void *unused)
{
	const struct job *job;
	unsigned int i;
	int ret;

	while (READ_ONCE(system_state) != SYSTEM_RUNNING)
		msleep(100);
	msleep(1000);

	for (i = 0; i < repeat; i++) {
		for (job = jobs; job < jobs + ARRAY_SIZE(jobs); job++) {
			ret = wanted(job) ? job->run() : 0;
			if (ret)
				pr_err("%s fails: %d\n", job->rows[0], ret);
		}
	}
	pr_info("done\n");
	if (kernel_can_power_off())
		kernel_power_off();
	else
		kernel_restart(NULL);
	return 0;
}

static int __init bench_init(void)
{
	if (!run)
		return 0;
	return PTR_ERR_OR_ZERO(kthread_run(bench_thread, NULL, "mn_bench"));
}
late_initcall(bench_init);
