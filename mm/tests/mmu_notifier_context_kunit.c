// SPDX-License-Identifier: GPL-2.0
/*
 * Unusual places to call from, and unusual moments. Numbers in brackets are
 * contracts, see mmu_notifier_kunit.h.
 *
 * What must not sleep is called where DEBUG_ATOMIC_SLEEP would notice; the
 * complaint is in the log then.
 */
#include <linux/anon_inodes.h>
#include <linux/completion.h>
#include <linux/cpumask.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/preempt.h>
#include <linux/sched/mm.h>
#include <linux/sched/task.h>

#include "mmu_notifier_kunit.h"

/* A non-blocking section, its end included, is for the OOM reaper. */
static void nonblock_section_in_atomic_context_is_paired(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	int ret;

	preempt_disable();
	ret = mnk_invalidate_nonblock(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, ret, 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
}

/* [11] put does not wait: it may be the last thing under a spinlock. */
static void put_in_atomic_context_frees_later(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	unsigned int freed;

	preempt_disable();
	mnk_do_put(sub);
	freed = mnk_count(ctx, MNK_FREE, sub);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, freed, 0);
	mnk_expect_freed(sub);
}

static unsigned long do_put(void *arg)
{
	struct mnk_sub *sub = arg;

	mmu_notifier_put(&sub->mn);
	return 0;
}

/* One put too many, while the object is on its way to free_notifier. */
static void put_without_users_warns_and_frees_once(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *running = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *task;

	mnk_gate_arm(&running->gate, MNK_START);
	task = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &running->gate);
	mnk_put(running);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, do_put, running), 0);
	mnk_gate_open(&running->gate);
	mnk_join(ctx, task);
	mnk_expect_freed(running);
}

/* Mainline's core calls it with bottom halves disabled. */
static void hold_free(struct mmu_notifier *mn)
{
	struct mnk_sub *sub = container_of(mn, struct mnk_sub, mn);
	unsigned long ms = jiffies_to_msecs(MNK_TIMEOUT);

	complete(&sub->gate.entered);
	while (!completion_done(&sub->gate.open) && ms--)
		mdelay(1);
	mnk_get_ops.free_notifier(mn);
}

static unsigned long do_synchronize(void *arg)
{
	mmu_notifier_synchronize();
	return 0;
}

/*
 * [15] It waits for free_notifier, not only until that may be called: module
 * text goes next. Mainline's core does so as long as all callbacks of SRCU are
 * queued on one CPU, that is, on small machines: not if
 * srcutree.convert_to_big=1 is given at boot.
 */
static void synchronize_running_free_notifier_waits(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_task *synchronize;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs a CPU that keeps another one busy");
	sub->ops.free_notifier = hold_free;
	mnk_register(sub, ctx->mm);
	sub->registered = false;
	sub->gets = 1;
	atomic_inc(&ctx->unfreed);
	mnk_put(sub);
	mnk_gate_entered(ctx, &sub->gate);
	synchronize = mnk_spawn(ctx, do_synchronize, NULL);
	mnk_expect_blocked(ctx, synchronize);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, synchronize);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_FREE, sub), 1);
}

static bool say_no(struct mmu_interval_notifier *mni,
		   const struct mmu_notifier_range *range,
		   unsigned long cur_seq)
{
	return false;
}

/* Only a non-blocking section can be refused: this one takes place. */
static void start_refused_by_interval_warns_and_goes_on(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *refuses = mnk_ivl(ctx);
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, SZ_1M);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);

	refuses->ops.invalidate = say_no;
	mnk_insert(refuses, ctx->mm, MNK_BASE, PAGE_SIZE);
	KUNIT_EXPECT_NE(test, mnk_warnings(ctx, mnk_do_section, section), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_TRUE(test, mnk_read_begin(ivl) & 1);
	KUNIT_EXPECT_TRUE(test, mnk_read_begin(refuses) & 1);
	/* It has no more to say when the mm exits. */
	mnk_remove(refuses);
}

/* What an interval is busy with does not concern whole-mm subscribers. */
static void unregister_interval_callback_blocked_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct mnk_section *section =
		mnk_section(ctx, ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	struct mnk_task *task;

	mnk_gate_arm(&ivl->gate, MNK_INVALIDATE);
	task = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &ivl->gate);
	mnk_unregister(sub);
	KUNIT_EXPECT_FALSE(test, completion_done(&task->done));
	mnk_gate_open(&ivl->gate);
	mnk_join(ctx, task);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 0);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 0);
}

/*
 * [8] Until ->release has returned the device may have the pages mapped, so
 * that a section by the reverse map has to be announced, also while an
 * unregister waits for exit to be done with it.
 */
static void unregister_during_exit_hears_until_released(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct mnk_task *unregister, *exit;

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	mnk_gate_entered(ctx, &sub->gate);
	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_expect_blocked(ctx, unregister);
	mnk_invalidate(mm->mm, mm->addr, mm->addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	mnk_gate_open(&sub->gate);
	mnk_join(ctx, unregister);
	mnk_join(ctx, exit);
	mnk_invalidate(mm->mm, mm->addr, mm->addr + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
}

/* The last reference on an mm goes in the scheduler, and elsewhere. */
static void mmdrop_in_atomic_context_is_silent(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mm_struct *mm = mm_alloc();
	struct mnk_sub *sub = mnk_sub(ctx);
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	KUNIT_ASSERT_NOT_NULL(test, mm);
	KUNIT_EXPECT_EQ(test, mmu_notifier_register(&sub->mn, mm), 0);
	mnk_insert(ivl, mm, MNK_BASE, PAGE_SIZE);
	mnk_unregister(sub);
	mnk_remove(ivl);
	mmgrab(mm);
	mmput(mm);
	preempt_disable();
	mmdrop(mm);
	preempt_enable();
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

/*
 * SGX registers in vm_ops->open, which fork calls for the half-built child
 */

static struct mnk_sub *fork_sub;

static void register_open(struct vm_area_struct *vma)
{
	struct mnk_sub *sub = fork_sub;

	if (sub && !sub->registered)
		sub->registered = !__mmu_notifier_register(&sub->mn,
							   vma->vm_mm);
}

static const struct vm_operations_struct register_vm_ops = {
	.open = register_open,
};

static int register_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &register_vm_ops;
	return 0;
}

static const struct file_operations register_fops = {
	.mmap = register_mmap,
};

static int in_child(void *arg)
{
	mnk_invalidate(current->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	do_exit(0);
}

static unsigned long fork_child(void *arg)
{
	struct mnk_sub *sub = arg;
	struct kernel_clone_args args = {
		.fn = in_child,
		.fn_arg = sub,
		.exit_signal = SIGCHLD,
	};
	pid_t pid;

	kthread_use_mm(sub->ctx->mm);
	pid = kernel_clone(&args);
	kthread_unuse_mm(sub->ctx->mm);
	return pid;
}

/* [28] the child is followed from its first section to its exit. */
static void fork_registering_in_open_hears_child(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub(ctx);
	struct file *file;

	file = anon_inode_getfile("mmu_notifier", &register_fops, NULL, O_RDWR);
	KUNIT_ASSERT_FALSE(test, IS_ERR(file));
	mnk_map(ctx, file, MAP_SHARED);
	fput(file);

	mnk_gate_arm(&sub->gate, MNK_RELEASE);
	fork_sub = sub;
	KUNIT_EXPECT_GT(test, (long)mnk_run(ctx, fork_child, sub), 0);
	fork_sub = NULL;
	KUNIT_ASSERT_TRUE(test, sub->registered);
	KUNIT_EXPECT_PTR_NE(test, sub->mn.mm, ctx->mm);
	mnk_gate_entered(ctx, &sub->gate);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_START, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_END, sub), 1);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
	mnk_gate_open(&sub->gate);
	mnk_unregister(sub);
}

static struct kunit_case mmu_notifier_context_cases[] = {
	KUNIT_CASE(fork_registering_in_open_hears_child),
	KUNIT_CASE(nonblock_section_in_atomic_context_is_paired),
	KUNIT_CASE(put_in_atomic_context_frees_later),
	KUNIT_CASE(put_without_users_warns_and_frees_once),
	KUNIT_CASE(synchronize_running_free_notifier_waits),
	KUNIT_CASE(start_refused_by_interval_warns_and_goes_on),
	KUNIT_CASE(unregister_interval_callback_blocked_returns),
	KUNIT_CASE(unregister_during_exit_hears_until_released),
	KUNIT_CASE(mmdrop_in_atomic_context_is_silent),
	{}
};

static struct kunit_suite mmu_notifier_context_suite = {
	.name = "mmu_notifier_context",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_context_cases,
};

kunit_test_suite(mmu_notifier_context_suite);

MODULE_DESCRIPTION("KUnit tests of MMU notifiers in unusual contexts");
MODULE_LICENSE("GPL");
