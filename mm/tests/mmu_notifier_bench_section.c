// SPDX-License-Identifier: GPL-2.0
/*
 * Benchmark of the MMU notifiers: sections, see mmu_notifier_bench.c.
 */
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mmu_notifier.h>
#include <linux/sched/mm.h>

#include "mmu_notifier_bench.h"

/* Of a page. Not inlined, to be looked at in the disassembly */
noinline void bench_section(struct mm_struct *mm, unsigned long addr)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init(&range, MMU_NOTIFY_CLEAR, 0, mm, addr,
				addr + PAGE_SIZE);
	mmu_notifier_invalidate_range_start(&range);
	/* Here the caller does so much that it has to read the range again */
	barrier();
	mmu_notifier_invalidate_range_end(&range);
}

static void sections(struct mm_struct *mm, unsigned long addr)
{
	int i;

	for (i = 0; i < BENCH_SECTIONS; i++)
		bench_section(mm, addr);
}

/* 25 samples of BENCH_SECTIONS sections of the page at @addr */
void bench_sections(struct mm_struct *mm, unsigned long addr,
		    struct bench_samples *samples)
{
	u64 start;
	int i;

	samples->nr = 0;
	sections(mm, addr);
	for (i = 0; i < 25; i++) {
		start = ktime_get_ns();
		sections(mm, addr);
		bench_sample(samples, start);
		cond_resched();
	}
}

/* mm_has_notifiers() is false */
int bench_section_unused(void)
{
	static struct bench_samples samples;
	struct mm_struct *mm = mm_alloc();

	if (!mm)
		return -ENOMEM;
	bench_sections(mm, BENCH_BASE, &samples);
	bench_report_ns("section_unused", "subscribers", 0, &samples,
			BENCH_SECTIONS);
	mmput(mm);
	return 0;
}

/* The same with subscribers whose callbacks do nothing */
static int section_subscribers(const char *name, unsigned int nr)
{
	static struct bench_samples samples;
	struct mm_struct *mm = mm_alloc();
	unsigned int i;
	int ret = 0;

	if (!mm)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		ret = bench_subscribe(&bench_subs[i], mm);
		if (ret)
			break;
	}
	if (!ret) {
		bench_sections(mm, BENCH_BASE, &samples);
		bench_report_ns(name, "subscribers", nr, &samples,
				BENCH_SECTIONS);
	}
	while (i--)
		mmu_notifier_unregister(&bench_subs[i], mm);
	mmput(mm);
	return ret;
}

int bench_section_one(void)
{
	return section_subscribers("section_one", 1);
}

int bench_section_many(void)
{
	return section_subscribers("section_many", 2) ?:
	       section_subscribers("section_many", 4) ?:
	       section_subscribers("section_many", 8);
}

/* Two threads, each on its CPU, in sections of one mm */
struct worker {
	struct mm_struct *mm;
	struct task_struct *task;
	struct completion done;
	atomic_t *ready;
	u64 ns;
};

static int worker_thread(void *data)
{
	struct worker *worker = data;
	u64 start;

	atomic_inc(worker->ready);
	while (atomic_read(worker->ready) < 2)
		cpu_relax();
	start = ktime_get_ns();
	sections(worker->mm, BENCH_BASE);
	worker->ns = ktime_get_ns() - start;
	complete(&worker->done);
	return 0;
}

static int worker_create(struct worker *worker, struct mm_struct *mm,
			 atomic_t *ready, int cpu)
{
	worker->mm = mm;
	worker->ready = ready;
	init_completion(&worker->done);
	worker->task = kthread_create_on_cpu(worker_thread, worker, cpu,
					     "bench/%u");
	return PTR_ERR_OR_ZERO(worker->task);
}

static int parallel_sample(struct mm_struct *mm, struct bench_samples *samples)
{
	struct worker workers[2];
	atomic_t ready = ATOMIC_INIT(0);
	int i;

	for (i = 0; i < 2; i++) {
		if (worker_create(&workers[i], mm, &ready, i))
			break;
	}
	if (i < 2) {
		if (i)
			kthread_stop(workers[0].task);
		return -ENOMEM;
	}
	for (i = 0; i < 2; i++)
		wake_up_process(workers[i].task);
	for (i = 0; i < 2; i++)
		wait_for_completion(&workers[i].done);
	samples->ns[samples->nr++] = max(workers[0].ns, workers[1].ns);
	return 0;
}

static int parallel_samples(struct mm_struct *mm, const char *param,
			    unsigned int value)
{
	static struct bench_samples samples;
	int i, ret;

	samples.nr = 0;
	for (i = 0; i < 31; i++) {
		ret = parallel_sample(mm, &samples);
		if (ret)
			return ret;
	}
	bench_report_ns("section_parallel", param, value, &samples,
			BENCH_SECTIONS);
	return 0;
}

static int parallel_subscriber(struct mm_struct *mm)
{
	int ret = bench_subscribe(&bench_subs[0], mm);

	if (ret)
		return ret;
	ret = parallel_samples(mm, "subscribers", 1);
	mmu_notifier_unregister(&bench_subs[0], mm);
	return ret;
}

/* Which the sections do not overlap */
static int parallel_interval(struct mm_struct *mm)
{
	static struct mmu_interval_notifier interval;
	int ret = bench_insert(&interval, mm, 1);

	if (ret)
		return ret;
	ret = parallel_samples(mm, "intervals", 1);
	mmu_interval_notifier_remove(&interval);
	return ret;
}

/* 31 samples of 10000 sections on either CPU, of the CPU that took longer */
int bench_section_parallel(void)
{
	struct mm_struct *mm;
	int ret;

	if (!cpu_online(0) || !cpu_online(1))
		return -ENODEV;
	mm = mm_alloc();
	if (!mm)
		return -ENOMEM;
	ret = parallel_samples(mm, "subscribers", 0) ?:
	      parallel_subscriber(mm) ?: parallel_interval(mm);
	mmput(mm);
	return ret;
}
