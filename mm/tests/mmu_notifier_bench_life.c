// SPDX-License-Identifier: GPL-2.0
/*
 * Benchmark of the MMU notifiers: the life of a subscription, from registration
 * to the end, see mmu_notifier_bench.c.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/srcu.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

#include "mmu_notifier_bench.h"

/*
 * Registration
 */

/* One sample for @first, the others for @next */
static int register_all(struct mm_struct *mm, struct bench_samples *first,
			struct bench_samples *next)
{
	unsigned int i;
	u64 start;
	int ret = 0;

	for (i = 0; i < ARRAY_SIZE(bench_subs); i++) {
		bench_settle();
		start = ktime_get_ns();
		ret = bench_subscribe(&bench_subs[i], mm);
		if (ret)
			break;
		bench_sample(i ? next : first, start);
	}
	while (i--)
		mmu_notifier_unregister(&bench_subs[i], mm);
	return ret;
}

static int register_vmas(unsigned int vmas, unsigned int mms)
{
	static struct bench_samples first, next;
	struct mm_struct *mm;
	unsigned int i;
	int ret;

	first.nr = 0;
	next.nr = 0;
	for (i = 0; i < mms; i++) {
		mm = bench_mm_with_vmas(vmas);
		if (!mm)
			return -ENOMEM;
		ret = register_all(mm, &first, &next);
		mmput(mm);
		if (ret)
			return ret;
	}
	bench_report_ns("register_first", "vmas", vmas, &first, 1);
	bench_report_ns("register_next", "vmas", vmas, &next, 1);
	return 0;
}

/* Up to sysctl_max_map_count */
int bench_register(void)
{
	return register_vmas(100, 15) ?: register_vmas(1000, 9) ?:
	       register_vmas(10000, 3) ?: register_vmas(60000, 1);
}

DEFINE_STATIC_SRCU_FAST(idle_domain);

/* What a registration can be made of, 31 samples */
int bench_grace_period(void)
{
	static struct bench_samples rcu, srcu;
	u64 start;
	int i;

	rcu.nr = 0;
	srcu.nr = 0;
	for (i = 0; i < 31; i++) {
		bench_settle();
		start = ktime_get_ns();
		synchronize_rcu_expedited();
		bench_sample(&rcu, start);
		bench_settle();
		start = ktime_get_ns();
		synchronize_srcu_expedited(&idle_domain);
		bench_sample(&srcu, start);
	}
	bench_report_ns("grace_period_rcu", "expedited", 1, &rcu, 1);
	bench_report_ns("grace_period_srcu_fast", "expedited", 1, &srcu, 1);
	return 0;
}

/*
 * Registration while signals come in
 */

#define SIGNAL_US		50
#define SIGNAL_REGISTRATIONS	10000

struct signals {
	struct hrtimer timer;
	struct task_struct *task;
};

static enum hrtimer_restart send_signal(struct hrtimer *timer)
{
	struct signals *signals = container_of(timer, struct signals, timer);

	send_sig(SIGUSR1, signals->task, 1);
	hrtimer_forward_now(timer, us_to_ktime(SIGNAL_US));
	return HRTIMER_RESTART;
}

/* Only a signal that comes in meanwhile can make it fail */
static int register_once(struct mm_struct *mm)
{
	struct mmu_notifier *subscription = kzalloc_obj(*subscription);
	int ret;

	if (!subscription)
		return -ENOMEM;
	flush_signals(current);
	ret = bench_subscribe(subscription, mm);
	if (ret)
		kfree(subscription);
	else
		mmu_notifier_put(subscription);
	return ret;
}

static int count_failures(struct mm_struct *mm)
{
	int i, ret, failures = 0;

	for (i = 0; i < SIGNAL_REGISTRATIONS; i++) {
		ret = register_once(mm);
		if (ret == -EINTR)
			failures++;
		else if (ret)
			return ret;
		cond_resched();
	}
	return failures;
}

/* A signal for this thread every 50 us, or as often as the machine can */
int bench_register_signal(void)
{
	struct mmu_notifier *anchor = &bench_subs[0];
	struct mm_struct *mm = bench_mm_with_vmas(100);
	static struct signals signals;
	int ret;

	if (!mm)
		return -ENOMEM;
	ret = bench_subscribe(anchor, mm);
	if (ret)
		goto put;

	signals.task = current;
	allow_signal(SIGUSR1);
	hrtimer_setup(&signals.timer, send_signal, CLOCK_MONOTONIC,
		      HRTIMER_MODE_REL);
	hrtimer_start(&signals.timer, us_to_ktime(SIGNAL_US), HRTIMER_MODE_REL);
	ret = count_failures(mm);
	hrtimer_cancel(&signals.timer);
	disallow_signal(SIGUSR1);
	flush_signals(current);

	if (ret >= 0)
		bench_report("register_signal", "registrations",
			     SIGNAL_REGISTRATIONS, "failures", ret);
	mmu_notifier_unregister(anchor, mm);
	mmu_notifier_synchronize();
put:
	mmput(mm);
	return min(ret, 0);
}

/*
 * The end of a subscription
 */

/* A thread in a section of another mm, whose subscriber does not return */
struct stuck {
	struct mmu_notifier subscription;
	struct mm_struct *mm;
	struct task_struct *task;
	struct completion entered, leave;
};

/* Gives up after as long, so that whoever waits for it can say so */
#define STUCK_MS	1000

static int stuck_start(struct mmu_notifier *subscription,
		       const struct mmu_notifier_range *range)
{
	struct stuck *stuck =
		container_of(subscription, struct stuck, subscription);

	complete(&stuck->entered);
	wait_for_completion_timeout(&stuck->leave, msecs_to_jiffies(STUCK_MS));
	return 0;
}

static const struct mmu_notifier_ops stuck_ops = {
	.invalidate_range_start = stuck_start,
};

static int stuck_thread(void *data)
{
	struct stuck *stuck = data;

	bench_section(stuck->mm, BENCH_BASE);
	return 0;
}

static void unstick(struct stuck *stuck)
{
	complete(&stuck->leave);
	kthread_stop_put(stuck->task);
	mmu_notifier_unregister(&stuck->subscription, stuck->mm);
	mmput(stuck->mm);
}

static int get_stuck(struct stuck *stuck)
{
	int ret = -ENOMEM;

	init_completion(&stuck->entered);
	init_completion(&stuck->leave);
	stuck->subscription.ops = &stuck_ops;
	stuck->mm = mm_alloc();
	if (!stuck->mm)
		return ret;
	ret = mmu_notifier_register(&stuck->subscription, stuck->mm);
	if (ret)
		goto put;
	stuck->task = kthread_create(stuck_thread, stuck, "bench_stuck");
	ret = PTR_ERR_OR_ZERO(stuck->task);
	if (ret)
		goto unregister;
	get_task_struct(stuck->task);
	wake_up_process(stuck->task);
	wait_for_completion(&stuck->entered);
	return 0;

unregister:
	mmu_notifier_unregister(&stuck->subscription, stuck->mm);
put:
	mmput(stuck->mm);
	return ret;
}

static int unregister_sample(struct mm_struct *mm, struct stuck *stuck,
			     struct bench_samples *samples)
{
	struct mmu_notifier *subscription = &bench_subs[0];
	int ret = bench_subscribe(subscription, mm);
	u64 start;

	if (ret)
		return ret;
	bench_settle();
	ret = stuck ? get_stuck(stuck) : 0;
	start = ktime_get_ns();
	mmu_notifier_unregister(subscription, mm);
	if (ret)
		return ret;
	bench_sample(samples, start);
	if (stuck)
		unstick(stuck);
	return 0;
}

static int unregister_row(const char *row, const char *param,
			  unsigned long value, struct stuck *stuck, int nr)
{
	struct mm_struct *mm = bench_mm_with_vmas(100);
	static struct bench_samples samples;
	int i, ret = 0;

	if (!mm)
		return -ENOMEM;
	samples.nr = 0;
	for (i = 0; i < nr && !ret; i++)
		ret = unregister_sample(mm, stuck, &samples);
	if (!ret) {
		bench_report_ns(row, param, value, &samples, 1);
		bench_report_distribution(row, &samples);
	}
	mmput(mm);
	return ret;
}

/* 101 samples */
int bench_unregister_idle(void)
{
	return unregister_row("unregister_idle", "vmas", 100, NULL, 101);
}

/* 3 samples */
int bench_unregister_stuck(void)
{
	static struct stuck stuck;

	return unregister_row("unregister_stuck", "stuck_ms", STUCK_MS,
			      &stuck, 3);
}

static int exit_sample(bool subscribed, struct bench_samples *samples)
{
	struct mmu_notifier *subscription = &bench_subs[0];
	struct mm_struct *mm = mm_alloc();
	int ret;
	u64 start;

	if (!mm)
		return -ENOMEM;
	ret = subscribed ? bench_subscribe(subscription, mm) : 0;
	if (ret) {
		mmput(mm);
		return ret;
	}
	bench_settle();
	start = ktime_get_ns();
	mmput(mm);
	bench_sample(samples, start);
	if (subscribed)
		mmu_notifier_unregister(subscription, mm);
	return 0;
}

/* The last mmput(), and to compare the same without a subscriber: 101 samples */
int bench_exit_release(void)
{
	static struct bench_samples samples;
	int i, subscribers, ret;

	for (subscribers = 0; subscribers <= 1; subscribers++) {
		samples.nr = 0;
		for (i = 0; i < 101; i++) {
			ret = exit_sample(subscribers, &samples);
			if (ret)
				return ret;
		}
		bench_report_ns("exit_release", "subscribers", subscribers,
				&samples, 1);
	}
	bench_report_distribution("exit_release", &samples);
	return 0;
}

/*
 * Memory
 */

#define BYTES_MMS	256

/* What is allocated from slabs and per CPU, once the counters are up to date */
static unsigned long pages_allocated(void)
{
	msleep(2500);
	return global_node_page_state_pages(NR_SLAB_UNRECLAIMABLE_B) +
	       pcpu_nr_pages();
}

static int subscribe_all(struct mm_struct **mms, struct mmu_notifier *all)
{
	unsigned long before = pages_allocated(), after;
	int i, ret = 0;

	for (i = 0; i < BYTES_MMS && !ret; i++)
		ret = bench_subscribe(&all[i], mms[i]);
	if (!ret) {
		after = pages_allocated();
		bench_report("registry_bytes", "cpus", num_possible_cpus(),
			     "bytes", (after - before) * PAGE_SIZE / BYTES_MMS);
		i++;
	}
	while (i-- > 1)
		mmu_notifier_unregister(&all[i - 1], mms[i - 1]);
	return ret;
}

/* Per mm with one subscriber, whose struct mmu_notifier is not counted */
int bench_registry_bytes(void)
{
	struct mmu_notifier *all = vcalloc(BYTES_MMS, sizeof(*all));
	struct mm_struct **mms = vcalloc(BYTES_MMS, sizeof(*mms));
	int i, ret = -ENOMEM;

	for (i = 0; all && mms && i < BYTES_MMS; i++) {
		mms[i] = mm_alloc();
		if (!mms[i])
			break;
	}
	if (i == BYTES_MMS)
		ret = subscribe_all(mms, all);
	while (i--)
		mmput(mms[i]);
	vfree(mms);
	vfree(all);
	return ret;
}

/* What is part of an mm, of a driver's object, and on the stack of a section */
int bench_struct_bytes(void)
{
	bench_report("mm_bytes", "of", 1, "bytes", sizeof(struct mm_struct));
	bench_report("subscription_bytes", "of", 1, "bytes",
		     sizeof(struct mmu_notifier));
	bench_report("interval_bytes", "of", 1, "bytes",
		     sizeof(struct mmu_interval_notifier));
	bench_report("range_bytes", "of", 1, "bytes",
		     sizeof(struct mmu_notifier_range));
	return 0;
}
