// SPDX-License-Identifier: GPL-2.0
/*
 * Who does not wait for whom: a callback that does not return holds up its own
 * subscription and nobody else, be it in another mm or in the same. Signals do
 * not matter, and an mm whose last subscription is gone is as good as new.
 */
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>

#include "mmu_notifier_kunit.h"

/* A subscriber that sits in a callback until it is let go. */
struct blocked {
	const char *name;
	bool other_mm;
	struct mnk_sub *sub;
	struct mnk_task *task;
};

static const struct blocked blocked_where[] = {
	{ "other mm", true },
	{ "same mm", false },
};

KUNIT_ARRAY_PARAM_DESC(blocked, blocked_where, name);

static struct blocked block(struct kunit *test, struct mm_struct *mm)
{
	struct blocked blocked = *(const struct blocked *)test->param_value;
	struct mnk_ctx *ctx = test->priv;
	struct mnk_section *section;

	if (blocked.other_mm)
		mm = mnk_mm_empty(ctx)->mm;
	section = mnk_section(ctx, mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	blocked.sub = mnk_sub_on(ctx, mm);
	mnk_gate_arm(&blocked.sub->gate, MNK_START);
	blocked.task = mnk_spawn(ctx, mnk_do_section, section);
	mnk_gate_entered(ctx, &blocked.sub->gate);
	return blocked;
}

static void unblock(struct mnk_ctx *ctx, struct blocked *blocked)
{
	KUNIT_EXPECT_FALSE(ctx->test, completion_done(&blocked->task->done));
	mnk_gate_open(&blocked->sub->gate);
	mnk_join(ctx, blocked->task);
}

static void unregister_other_callback_blocked_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);
	struct blocked blocked = block(test, ctx->mm);
	struct mnk_task *unregister;

	sub->registered = false;
	unregister = mnk_spawn(ctx, mnk_do_unregister, sub);
	mnk_expect_returned(ctx, unregister);
	unblock(ctx, &blocked);
	mnk_join(ctx, unregister);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

/* Not even for its own callbacks: only for ->release. */
static void exit_callback_blocked_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);
	struct blocked blocked = block(test, mm->mm);
	struct mnk_task *exit;

	mm->live = false;
	exit = mnk_spawn(ctx, mnk_do_mmput, mm->mm);
	mnk_expect_returned(ctx, exit);
	unblock(ctx, &blocked);
	mnk_join(ctx, exit);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_RELEASE, sub), 1);
}

static void put_other_callback_blocked_frees(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct blocked blocked = block(test, ctx->mm);

	mnk_put(sub);
	KUNIT_EXPECT_NE(test, 0,
			wait_event_timeout(ctx->wq,
					   mnk_count(ctx, MNK_FREE, sub),
					   MNK_TIMEOUT / 2));
	unblock(ctx, &blocked);
	mnk_expect_freed(sub);
}

static unsigned long do_synchronize(void *arg)
{
	mmu_notifier_synchronize();
	return 0;
}

/* It is there for objects that were put, and has to wait for their callbacks */
static void synchronize_other_callback_blocked_returns(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);
	struct blocked blocked = block(test, ctx->mm);
	struct mnk_task *synchronize;

	mnk_put(sub);
	synchronize = mnk_spawn(ctx, do_synchronize, NULL);
	mnk_expect_returned(ctx, synchronize);
	unblock(ctx, &blocked);
	mnk_join(ctx, synchronize);
	mnk_expect_freed(sub);
}

/*
 * Signals
 */

static int register_in(struct mnk_ctx *ctx)
{
	struct mnk_sub *sub = mnk_sub(ctx);
	int ret = mmu_notifier_register(&sub->mn, ctx->mm);

	sub->registered = !ret;
	return ret;
}

static int register_locked_in(struct mnk_ctx *ctx)
{
	struct mnk_sub *sub = mnk_sub(ctx);
	int ret;

	mmap_write_lock(ctx->mm);
	ret = __mmu_notifier_register(&sub->mn, ctx->mm);
	mmap_write_unlock(ctx->mm);
	sub->registered = !ret;
	return ret;
}

static int get_in(struct mnk_ctx *ctx)
{
	struct mmu_notifier *mn = mmu_notifier_get(&mnk_get_ops, ctx->mm);

	if (IS_ERR(mn))
		return PTR_ERR(mn);
	container_of(mn, struct mnk_sub, mn)->gets++;
	return 0;
}

static int insert_in(struct mnk_ctx *ctx)
{
	struct mnk_ivl *ivl = mnk_ivl(ctx);
	int ret = mmu_interval_notifier_insert(&ivl->mni, ctx->mm, MNK_BASE,
					       PAGE_SIZE, &ivl->ops);

	ivl->inserted = !ret;
	return ret;
}

static int insert_locked_in(struct mnk_ctx *ctx)
{
	struct mnk_ivl *ivl = mnk_ivl(ctx);
	int ret;

	mmap_write_lock(ctx->mm);
	ret = mmu_interval_notifier_insert_locked(&ivl->mni, ctx->mm, MNK_BASE,
						  PAGE_SIZE, &ivl->ops);
	mmap_write_unlock(ctx->mm);
	ivl->inserted = !ret;
	return ret;
}

struct subscribe {
	const char *name;
	int (*fn)(struct mnk_ctx *ctx);
};

static const struct subscribe subscribes[] = {
	{ "register", register_in },
	{ "register, mmap_lock held", register_locked_in },
	{ "get", get_in },
	{ "insert", insert_in },
	{ "insert, mmap_lock held", insert_locked_in },
};

KUNIT_ARRAY_PARAM_DESC(subscribe, subscribes, name);

/* A virtual machine monitor with a timer never gets its machine otherwise. */
static void subscribe_signal_pending_succeeds(struct kunit *test)
{
	const struct subscribe *subscribe = test->param_value;
	struct mnk_ctx *ctx = test->priv;
	bool pending;
	int ret;

	mnk_map(ctx, NULL, MAP_PRIVATE | MAP_ANONYMOUS);
	allow_signal(SIGUSR1);
	send_sig(SIGUSR1, current, 1);
	pending = signal_pending(current);
	ret = subscribe->fn(ctx);
	flush_signals(current);
	disallow_signal(SIGUSR1);

	KUNIT_EXPECT_TRUE(test, pending);
	KUNIT_EXPECT_EQ(test, ret, 0);
	mnk_forget(ctx);
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_NE(test, ctx->nr_calls, 0);
}

/*
 * An mm without subscriptions
 */

static void unregister_last_leaves_mm_unused(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *one, *two;

	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
	one = mnk_sub_on(ctx, ctx->mm);
	two = mnk_sub_on(ctx, ctx->mm);
	mnk_unregister(one);
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(ctx->mm));
	mnk_unregister(two);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
}

static void put_last_leaves_mm_unused(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_sub *sub = mnk_get(ctx, &mnk_get_ops, ctx->mm);

	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(ctx->mm));
	mnk_put(sub);
	mnk_expect_freed(sub);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
}

static void remove_last_leaves_mm_unused(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	struct mnk_sub *sub = mnk_sub_on(ctx, ctx->mm);

	mnk_unregister(sub);
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(ctx->mm));
	mnk_remove(ivl);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));

	ivl = mnk_ivl_on(ctx, ctx->mm, MNK_BASE, PAGE_SIZE);
	KUNIT_EXPECT_TRUE(test, mm_has_notifiers(ctx->mm));
	mnk_invalidate(ctx->mm, MNK_BASE, MNK_BASE + PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, mnk_count(ctx, MNK_INVALIDATE, ivl), 1);
}

static void exit_leaves_mm_unused(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_mm *mm = mnk_mm(ctx);
	struct mnk_sub *sub = mnk_sub_on(ctx, mm->mm);

	mnk_mmput(ctx, mm);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(mm->mm));
	mnk_unregister(sub);
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(mm->mm));
}

static void insert_failed_leaves_mm_unused(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;
	struct mnk_ivl *ivl = mnk_ivl(ctx);

	KUNIT_EXPECT_EQ(test, -EOVERFLOW,
			mmu_interval_notifier_insert(&ivl->mni, ctx->mm,
						     MNK_BASE, 0, &ivl->ops));
	KUNIT_EXPECT_FALSE(test, mm_has_notifiers(ctx->mm));
}

static struct kunit_case mmu_notifier_private_cases[] = {
	KUNIT_CASE_PARAM(unregister_other_callback_blocked_returns,
			 blocked_gen_params),
	KUNIT_CASE_PARAM(exit_callback_blocked_returns, blocked_gen_params),
	KUNIT_CASE_PARAM(put_other_callback_blocked_frees, blocked_gen_params),
	KUNIT_CASE_PARAM(synchronize_other_callback_blocked_returns,
			 blocked_gen_params),
	KUNIT_CASE_PARAM(subscribe_signal_pending_succeeds,
			 subscribe_gen_params),
	KUNIT_CASE(unregister_last_leaves_mm_unused),
	KUNIT_CASE(put_last_leaves_mm_unused),
	KUNIT_CASE(remove_last_leaves_mm_unused),
	KUNIT_CASE(exit_leaves_mm_unused),
	KUNIT_CASE(insert_failed_leaves_mm_unused),
	{}
};

static struct kunit_suite mmu_notifier_private_suite = {
	.name = "mmu_notifier_private",
	.init = mnk_init,
	.exit = mnk_exit,
	.test_cases = mmu_notifier_private_cases,
};

kunit_test_suite(mmu_notifier_private_suite);

MODULE_DESCRIPTION("KUnit tests of what MMU notifiers do not wait for");
MODULE_LICENSE("GPL");
