// SPDX-License-Identifier: GPL-2.0
/*
 * MMU notifier torture test: parameters, threads, watchdog, verdict.
 *
 * Private mms are tortured by threads that register and unregister
 * subscribers of all kinds, run sections, read intervals, unmap pages and let
 * the mms exit, all at random and in parallel. An oracle decides what each
 * subscriber is owed; see torture.h for the rules and oracle.c for the method.
 *
 * The test runs at boot if mmu_notifier_torture.seconds or
 * mmu_notifier_torture.shutdown_secs is set, for that time or until the first
 * failure, and ends with a line such as
 *
 *   mmu_notifier-torture: --- End of test: SUCCESS: nmms=2 ... errors=0
 *
 * A kind of event that should have happened and did not is a failure, too.
 */

#include <linux/debug_locks.h>
#include <linux/init.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>
#include <linux/random.h>
#include <linux/reboot.h>
#include <linux/sched/debug.h>
#include <linux/seq_buf.h>
#include <linux/slab.h>

#include "torture.h"

MODULE_DESCRIPTION("torture test for MMU notifiers");
MODULE_LICENSE("GPL");

torture_param(int, seconds, 0, "Duration of the test (s), 0=do not run");
torture_param(int, shutdown_secs, 0, "As seconds, and power off at the end");
torture_param(int, stat_interval, 10, "Time between statistics (s), 0=disable");
torture_param(int, stall_secs, 60, "Progress expected from threads within (s)");
torture_param(int, stutter, HZ / 2, "Jiffies to run/halt test, 0=disable");
torture_param(int, verbose, 0, "Enable verbose debugging printk()s");
torture_param(ulong, seed, 0, "Seed of random numbers, 0=choose one");
torture_param(int, strict, 0, "Check what only the strict contract says");
torture_param(int, nmms, 2, "Number of mms at a time");
torture_param(int, nsections, 4, "Number of threads that run sections");
torture_param(int, nregister, 3, "Number of threads that register subscribers");
torture_param(int, ngets, 2, "Number of threads that get and put notifiers");
torture_param(int, nintervals, 2, "Number of threads that insert intervals");
torture_param(int, nreaders, 2, "Number of threads that read intervals");
torture_param(int, nreals, 1, "Number of threads that map and unmap pages");
torture_param(int, nexits, 1, "Number of threads that let mms exit");

int mntort_nmms;
bool mntort_strict;

static unsigned long mntort_taint;
static struct mntort_thread *mntort_threads;
static struct mntort_thread *mntort_threads_end;

struct mntort_thread *mntort_next_thread(struct mntort_thread *th)
{
	th = th ? th + 1 : mntort_threads;
	return th < mntort_threads_end ? th : NULL;
}

/* The torture thread that is running, or NULL if it is none. */
struct mntort_thread *mntort_self(void)
{
	struct mntort_thread *th;

	for (th = mntort_threads; th < mntort_threads_end; th++)
		if (READ_ONCE(th->task) == current)
			return th;
	return NULL;
}

static int mntort_thread(void *arg)
{
	struct mntort_thread *th = arg;

	WRITE_ONCE(th->task, current);
	do {
		th->step(th);
		WRITE_ONCE(th->steps, th->steps + 1);
		mntort_doing(th, "pause", -1);
		stutter_wait(th->name);
	} while (!torture_must_stop());
	mntort_doing(th, "drain", -1);
	if (th->drain)
		th->drain(th);
	WRITE_ONCE(th->done, true);
	torture_kthread_stopping(th->name);
	return 0;
}

/* The last element of mntort_threads[] is kept for the final cleanup. */
static const struct mntort_kind {
	const char *name;
	int *nr;
	void (*step)(struct mntort_thread *th);
	void (*drain)(struct mntort_thread *th);
} mntort_kinds[] = {
	{ "section", &nsections, mntort_section_step },
	{ "register", &nregister, mntort_register_step },
	{ "get", &ngets, mntort_get_step, mntort_get_drain },
	{ "interval", &nintervals, mntort_interval_step },
	{ "reader", &nreaders, mntort_reader_step },
	{ "real", &nreals, mntort_real_step },
	{ "exit", &nexits, mntort_exit_step },
};

static void mntort_thread_init(struct mntort_thread *th, const char *name,
			       int nr, void (*step)(struct mntort_thread *th),
			       void (*drain)(struct mntort_thread *th))
{
	scnprintf(th->name, sizeof(th->name), "%s/%d", name, nr);
	th->op = "none";
	th->where = -1;
	th->step = step;
	th->drain = drain;
	th->since = jiffies;
	prandom_seed_state(&th->rnd, seed + (th - mntort_threads));
}

static int mntort_threads_init(void)
{
	struct mntort_thread *th;
	int i, k, nr = 1 + !!strict;

	for (k = 0; k < ARRAY_SIZE(mntort_kinds); k++)
		nr += *mntort_kinds[k].nr;
	mntort_threads = kzalloc_objs(*mntort_threads, nr);
	if (!mntort_threads)
		return -ENOMEM;
	th = mntort_threads;
	for (k = 0; k < ARRAY_SIZE(mntort_kinds); k++)
		for (i = 0; i < *mntort_kinds[k].nr; i++)
			mntort_thread_init(th++, mntort_kinds[k].name, i,
					   mntort_kinds[k].step,
					   mntort_kinds[k].drain);
	if (strict)
		mntort_thread_init(th++, "strict", 0, mntort_strict_step, NULL);
	mntort_thread_init(th, "cleanup", 0, mntort_slots_exit, NULL);
	mntort_threads_end = mntort_threads + nr;
	return 0;
}

static int mntort_thread_start(struct mntort_thread *th)
{
	th->since = jiffies;
	return _torture_create_kthread(mntort_thread, th, th->name,
				       "Creating thread",
				       "Failed to create thread",
				       &th->kthread, NULL);
}

static int mntort_threads_start(void)
{
	struct mntort_thread *th;
	int ret = 0;

	for (th = mntort_threads; th < mntort_threads_end - 1 && !ret; th++)
		ret = mntort_thread_start(th);
	return ret;
}

/* A thread that makes no progress has met a bug, or is one. */
static void mntort_watch(struct mntort_thread *th)
{
	unsigned long steps = READ_ONCE(th->steps);

	if (!th->kthread || READ_ONCE(th->done))
		return;
	if (steps != th->seen) {
		th->seen = steps;
		th->since = jiffies;
	}
	if (time_before(jiffies, th->since + stall_secs * HZ))
		return;
	mntort_fail("W wait: thread %s is stuck in %s, slot %d, for %d s",
		    th->name, READ_ONCE(th->op), READ_ONCE(th->where),
		    stall_secs);
	sched_show_task(th->kthread);
	th->since = jiffies;
}

/* Wait until all threads that were started are done. */
static bool mntort_wait_done(void)
{
	unsigned long patience = stall_secs * HZ;
	unsigned long begin = jiffies;
	struct mntort_thread *th;
	bool done;

	do {
		/* After a failure threads are likely to be stuck. */
		if (atomic_read(&mntort_errors))
			patience = min(patience, 5UL * HZ);
		schedule_timeout_uninterruptible(HZ / 10);
		done = true;
		for (th = mntort_threads; th < mntort_threads_end; th++) {
			mntort_watch(th);
			done &= !th->kthread || READ_ONCE(th->done);
		}
	} while (!done && time_before(jiffies, begin + 2 * patience));
	return done;
}

/*
 * Nothing happened, nothing was checked: that is no success. A counter may stay
 * zero only if one of the parameters that it depends on is zero.
 */
static const struct {
	const char *name;
	const int *needs[2];
} mntort_counted[MNTORT_NR_COUNTERS] = {
	[MNTORT_sections] = { "sections", { &nsections } },
	[MNTORT_nonblock] = { "nonblock", { &nsections } },
	[MNTORT_refusals] = { "refusals", { &nsections } },
	[MNTORT_nested] = { "nested", { &nsections } },
	[MNTORT_late] = { "late", { &nsections, &nexits } },
	[MNTORT_young] = { "young", { &nsections } },
	[MNTORT_aists] = { "aists", { &nsections } },
	[MNTORT_starts] = { "starts", { &nregister } },
	[MNTORT_ends] = { "ends", { &nregister } },
	[MNTORT_registrations] = { "registrations", { &nregister } },
	[MNTORT_unregistrations] = { "unregistrations", { &nregister } },
	[MNTORT_gets] = { "gets", { &ngets } },
	[MNTORT_shared_gets] = { "shared_gets", { &ngets } },
	[MNTORT_frees] = { "frees", { &ngets } },
	[MNTORT_synchronizes] = { "synchronizes", { &ngets } },
	[MNTORT_inserts] = { "inserts", { &nintervals } },
	[MNTORT_removes] = { "removes", { &nintervals } },
	[MNTORT_invalidates] = { "invalidates", { &nintervals } },
	[MNTORT_finishes] = { "finishes", { &nintervals } },
	[MNTORT_reads] = { "reads", { &nreaders, &nintervals } },
	[MNTORT_retries] = { "retries", { &nreaders, &nintervals } },
	[MNTORT_exits] = { "exits", { &nexits } },
	[MNTORT_exit_races] = { "exit_races", { &nexits, &nregister } },
	[MNTORT_exit_releases] = { "exit_releases", { &nexits, &nregister } },
	[MNTORT_exit_unmaps] = { "exit_unmaps", { &nexits, &nintervals } },
	[MNTORT_reals] = { "reals", { &nreals } },
	[MNTORT_strangers] = { "strangers", { &strict } },
	[MNTORT_bounded_reads] = { "bounded_reads", { &strict } },
	[MNTORT_signals] = { "signals", { &strict } },
};

static void mntort_put_counters(struct seq_buf *s)
{
	int i;

	for (i = 0; i < MNTORT_NR_COUNTERS; i++)
		seq_buf_printf(s, " %s=%ld", mntort_counted[i].name,
			       atomic_long_read(&mntort_counters[i]));
	seq_buf_printf(s, " errors=%d", atomic_read(&mntort_errors));
}

static const struct {
	const char *name;
	const int *value;
} mntort_params[] = {
	{ "nmms", &nmms },
	{ "nsections", &nsections },
	{ "nregister", &nregister },
	{ "ngets", &ngets },
	{ "nintervals", &nintervals },
	{ "nreaders", &nreaders },
	{ "nreals", &nreals },
	{ "nexits", &nexits },
	{ "strict", &strict },
	{ "stutter", &stutter },
	{ "stall_secs", &stall_secs },
	{ "seconds", &seconds },
	{ "shutdown_secs", &shutdown_secs },
	{ "stat_interval", &stat_interval },
	{ "verbose", &verbose },
};

static void mntort_print(const char *tag, bool counters)
{
	static char buf[960];
	struct seq_buf s;
	int i;

	seq_buf_init(&s, buf, sizeof(buf));
	for (i = 0; i < ARRAY_SIZE(mntort_params); i++)
		seq_buf_printf(&s, "%s=%d ", mntort_params[i].name,
			       *mntort_params[i].value);
	seq_buf_printf(&s, "seed=%lu", seed);
	if (counters)
		mntort_put_counters(&s);
	pr_alert("mmu_notifier-torture: --- %s: %s\n", tag, seq_buf_str(&s));
}

static bool mntort_may_be_zero(int counter)
{
	const int * const *needs = mntort_counted[counter].needs;

	return !*needs[0] || (needs[1] && !*needs[1]);
}

static void mntort_check_counters(void)
{
	int i;

	for (i = 0; i < MNTORT_NR_COUNTERS; i++)
		mntort_check(mntort_may_be_zero(i) ||
			     atomic_long_read(&mntort_counters[i]),
			     "E error: nothing counted as %s",
			     mntort_counted[i].name);
}

/* The core warns, lockdep and KASAN report: that is for the verdict, too. */
static void mntort_check_warnings(void)
{
	bool locks = !IS_ENABLED(CONFIG_LOCKDEP) || debug_locks;

	if (atomic_read(&mntort_errors))
		return;
	mntort_check(locks && get_taint() == mntort_taint,
		     "E error: the kernel has warned, see above");
}

static void mntort_run(void)
{
	unsigned long end = jiffies + (shutdown_secs ?: seconds) * HZ;
	unsigned long stat = jiffies + stat_interval * HZ;
	struct mntort_thread *th;

	while (time_before(jiffies, end) && !atomic_read(&mntort_errors)) {
		schedule_timeout_uninterruptible(HZ / 10);
		for (th = mntort_threads; th < mntort_threads_end; th++)
			mntort_watch(th);
		mntort_check_warnings();
		if (stat_interval > 0 && time_after(jiffies, stat)) {
			mntort_print("Statistics", true);
			stat += stat_interval * HZ;
		}
	}
}

static void mntort_stop(void)
{
	struct mntort_thread *th;
	bool done;

	done = mntort_wait_done();
	if (done && !atomic_read(&mntort_errors)) {
		mntort_thread_start(mntort_threads_end - 1);
		done = mntort_wait_done();
	}
	if (!done) {
		mntort_check(atomic_read(&mntort_errors),
			     "W wait: threads do not stop");
		return;
	}
	for (th = mntort_threads; th < mntort_threads_end; th++)
		_torture_stop_kthread("Stopping thread", &th->kthread);
}

static void mntort_verdict(void)
{
	mntort_check_warnings();
	/* An early end leaves counters at zero. */
	if (!atomic_read(&mntort_errors))
		mntort_check_counters();
	if (atomic_read(&mntort_errors)) {
		mntort_print_first_failure();
		mntort_print("End of test: FAILURE", true);
	} else {
		mntort_print("End of test: SUCCESS", true);
	}
}

static int mntort_control(void *unused)
{
	int ret;

	mntort_taint = get_taint();
	mntort_print("Start of test", false);
	ret = mntort_threads_init() ?: mntort_slots_init(&mntort_threads->rnd);
	if (!ret && stutter > 0)
		ret = torture_stutter_init(stutter, stutter);
	if (!ret)
		ret = mntort_threads_start();
	if (mntort_check(!ret, "E error: cannot start: %d", ret))
		mntort_run();
	if (torture_cleanup_begin())
		return 0;
	if (!ret)
		mntort_stop();
	mntort_verdict();
	torture_cleanup_end();
	if (shutdown_secs > 0)
		kernel_power_off();
	return 0;
}

static int __init mntort_init(void)
{
	struct task_struct *task;

	if (seconds <= 0 && shutdown_secs <= 0)
		return 0;
	if (!torture_init_begin("mmu_notifier", verbose))
		return -EBUSY;
	mntort_nmms = max(nmms, 1);
	mntort_strict = strict;
	while (!seed)
		seed = get_random_u32();
	torture_init_end();
	task = kthread_run(mntort_control, NULL, "mntort_control");
	return PTR_ERR_OR_ZERO(task);
}
late_initcall(mntort_init);
