// SPDX-License-Identifier: GPL-2.0
/*
 * Helpers of the mmu_notifier KUnit suites, see mmu_notifier_kunit.h.
 */
#include <linux/bug.h>
#include <linux/kthread.h>
#include <linux/lockdep.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include <asm/sections.h>

#include "mmu_notifier_kunit.h"

/*
 * The log
 */

static bool mnk_in_non_block(void)
{
#ifdef CONFIG_DEBUG_ATOMIC_SLEEP
	return current->non_block_count;
#else
	return false;
#endif
}

static bool mnk_in_lock_map(void)
{
#ifdef CONFIG_LOCKDEP
	return lock_is_held(&__mmu_notifier_invalidate_range_start_map);
#else
	return true;
#endif
}

void mnk_record(struct mnk_ctx *ctx, struct mnk_call *call)
{
	struct page *watch = READ_ONCE(ctx->watch);
	unsigned long flags;

	call->in_task = in_task();
	call->may_sleep = !IS_ENABLED(CONFIG_PREEMPT_COUNT) || preemptible();
	call->non_block = mnk_in_non_block();
	call->lock_map = mnk_in_lock_map();
	call->mapcount = watch ? folio_mapcount(page_folio(watch)) : -1;

	spin_lock_irqsave(&ctx->lock, flags);
	if (ctx->nr_calls < MNK_CALLS)
		ctx->calls[ctx->nr_calls] = *call;
	ctx->nr_calls++;
	spin_unlock_irqrestore(&ctx->lock, flags);
}

void mnk_record_range(struct mnk_ctx *ctx, enum mnk_op op, const void *who,
		      const struct mmu_notifier_range *range,
		      unsigned long seq)
{
	struct mnk_call call = {
		.op = op,
		.who = who,
		.mm = range->mm,
		.start = range->start,
		.end = range->end,
		.event = range->event,
		.owner = range->owner,
		.seq = seq,
		.blockable = mmu_notifier_range_blockable(range),
	};

	mnk_record(ctx, &call);
}

/* Index of the @nth call of kind @op to @who (NULL: anybody), or -1. */
int mnk_pos(struct mnk_ctx *ctx, enum mnk_op op, const void *who,
	    unsigned int nth)
{
	unsigned long flags;
	int i, pos = -1;

	spin_lock_irqsave(&ctx->lock, flags);
	for (i = 0; i < min(ctx->nr_calls, MNK_CALLS); i++) {
		if (ctx->calls[i].op != op ||
		    (who && ctx->calls[i].who != who))
			continue;
		if (!nth--) {
			pos = i;
			break;
		}
	}
	spin_unlock_irqrestore(&ctx->lock, flags);
	return pos;
}

unsigned int mnk_count(struct mnk_ctx *ctx, enum mnk_op op, const void *who)
{
	unsigned int count = 0;

	while (mnk_pos(ctx, op, who, count) >= 0)
		count++;
	return count;
}

/* Never NULL: a call that was not made is a failure and reads as MNK_NONE. */
const struct mnk_call *mnk_call(struct mnk_ctx *ctx, enum mnk_op op,
				const void *who, unsigned int nth)
{
	static const struct mnk_call none;
	int pos = mnk_pos(ctx, op, who, nth);

	KUNIT_EXPECT_GE_MSG(ctx->test, pos, 0, "no call %u of kind %d", nth,
			    op);
	return pos < 0 ? &none : &ctx->calls[pos];
}

void mnk_forget(struct mnk_ctx *ctx)
{
	unsigned long flags;

	spin_lock_irqsave(&ctx->lock, flags);
	ctx->nr_calls = 0;
	spin_unlock_irqrestore(&ctx->lock, flags);
}

/*
 * Gates
 */

void mnk_gate_init(struct mnk_gate *gate)
{
	gate->op = MNK_NONE;
	init_completion(&gate->entered);
	init_completion(&gate->open);
}

void mnk_gate_pass(struct mnk_gate *gate, enum mnk_op op)
{
	if (READ_ONCE(gate->op) != op)
		return;
	complete(&gate->entered);
	wait_for_completion_timeout(&gate->open, 2 * MNK_TIMEOUT);
}

void mnk_gate_arm(struct mnk_gate *gate, enum mnk_op op)
{
	WRITE_ONCE(gate->op, op);
}

/* Wait for one more caller to arrive at @gate. */
bool mnk_gate_entered(struct mnk_ctx *ctx, struct mnk_gate *gate)
{
	bool entered = wait_for_completion_timeout(&gate->entered, MNK_TIMEOUT);

	KUNIT_EXPECT_TRUE_MSG(ctx->test, entered, "nobody arrived at the gate");
	return entered;
}

void mnk_gate_open(struct mnk_gate *gate)
{
	WRITE_ONCE(gate->op, MNK_NONE);
	complete_all(&gate->open);
}

/*
 * Helper threads. Whatever a broken core could block for ever runs in one, so
 * that it costs a failed test and a leaked thread, not the whole run.
 */

static int mnk_task_fn(void *arg)
{
	struct mnk_task *task = arg;

	task->ret = task->fn(task->arg);
	complete_all(&task->done);
	return 0;
}

struct mnk_task *mnk_spawn(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg),
			   void *arg)
{
	struct task_struct *kthread;
	struct mnk_task *task = NULL;
	int i;

	for (i = 0; !task && i < MNK_TASKS; i++)
		if (!ctx->tasks[i].used)
			task = &ctx->tasks[i];
	if (!task) {
		KUNIT_FAIL(ctx->test, "out of helper threads");
		return NULL;
	}

	task->fn = fn;
	task->arg = arg;
	task->ret = 0;
	init_completion(&task->done);
	kthread = kthread_run(mnk_task_fn, task, "mmu_notifier_kunit");
	if (IS_ERR(kthread)) {
		KUNIT_FAIL(ctx->test, "no helper thread");
		return NULL;
	}
	task->used = true;
	return task;
}

void mnk_expect_blocked(struct mnk_ctx *ctx, struct mnk_task *task)
{
	KUNIT_EXPECT_NOT_NULL(ctx->test, task);
	if (task)
		KUNIT_EXPECT_EQ_MSG(ctx->test, 0,
				    wait_for_completion_timeout(&task->done,
								MNK_PROBE),
				    "%ps returned too early", task->fn);
}

/* Before mnk_join(), if a core may hold up @task until the case lets it go on */
void mnk_expect_returned(struct mnk_ctx *ctx, struct mnk_task *task)
{
	KUNIT_EXPECT_NOT_NULL(ctx->test, task);
	if (task)
		KUNIT_EXPECT_NE_MSG(ctx->test, 0,
				    wait_for_completion_timeout(&task->done,
								MNK_TIMEOUT / 2),
				    "%ps is held up", task->fn);
}

unsigned long mnk_join(struct mnk_ctx *ctx, struct mnk_task *task)
{
	if (!task)
		return 0;
	if (!wait_for_completion_timeout(&task->done, MNK_TIMEOUT)) {
		ctx->stuck = true;
		KUNIT_FAIL(ctx->test, "%ps is stuck", task->fn);
		return 0;
	}
	task->used = false;
	return task->ret;
}

unsigned long mnk_run(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg),
		      void *arg)
{
	return mnk_join(ctx, mnk_spawn(ctx, fn, arg));
}

/*
 * Misuse
 */

static unsigned long mnk_do_misuse(void *arg)
{
	struct mnk_ctx *ctx = arg;
	struct mnk_misuse *misuse = &ctx->misuse;

	kunit_warning_suppress(ctx->test) {
		misuse->ret = misuse->fn(misuse->arg);
		misuse->warnings = KUNIT_SUPPRESSED_WARNING_COUNT();
	}
	return 0;
}

/*
 * How many warnings @fn gives, in a helper thread; what it returns is left in
 * ctx->misuse. They are not printed. Some architectures forget a WARN_ON_ONCE()
 * that was suppressed and some do not: remind them all.
 */
int mnk_warnings(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg), void *arg)
{
	generic_bug_clear_once();
	memset(__start_once, 0, __end_once - __start_once);

	ctx->misuse.fn = fn;
	ctx->misuse.arg = arg;
	ctx->misuse.warnings = 0;
	mnk_run(ctx, mnk_do_misuse, ctx);
	return ctx->misuse.warnings;
}

static unsigned long mnk_do_end_only(void *mm)
{
	struct mmu_notifier_range range;

	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_CLEAR, 0, mm, MNK_BASE,
				      MNK_BASE + PAGE_SIZE, NULL);
	mnk_end(&range);
	return 0;
}

/*
 * For a case that would take down the kernel if the core did what it is asked
 * to: stop if the core says nothing to the most harmless mistake, the end of a
 * section that was not started, where nobody is subscribed.
 */
void mnk_assert_misuse_is_caught(struct mnk_ctx *ctx)
{
	struct mnk_mm *mm = mnk_mm_empty(ctx);

	KUNIT_ASSERT_NE(ctx->test, 0,
			mnk_warnings(ctx, mnk_do_end_only, mm->mm));
}

/*
 * Sections
 */

void mnk_start(struct mmu_notifier_range *range, struct mm_struct *mm,
	       unsigned long start, unsigned long end)
{
	mmu_notifier_range_init_owner(range, MMU_NOTIFY_CLEAR, 0, mm, start,
				      end, NULL);
	mmu_notifier_invalidate_range_start(range);
}

void mnk_end(struct mmu_notifier_range *range)
{
	mmu_notifier_invalidate_range_end(range);
}

void mnk_invalidate(struct mm_struct *mm, unsigned long start,
		    unsigned long end)
{
	struct mmu_notifier_range range;

	mnk_start(&range, mm, start, end);
	mnk_end(&range);
}

int mnk_invalidate_nonblock(struct mm_struct *mm, unsigned long start,
			    unsigned long end)
{
	struct mmu_notifier_range range;
	int ret;

	mmu_notifier_range_init_owner(&range, MMU_NOTIFY_CLEAR, 0, mm, start,
				      end, NULL);
	ret = mmu_notifier_invalidate_range_start_nonblock(&range);
	if (!ret)
		mnk_end(&range);
	return ret;
}

/* For mnk_do_section(); arm its hold gate with MNK_HOLD to keep it open. */
struct mnk_section *mnk_section(struct mnk_ctx *ctx, struct mm_struct *mm,
				unsigned long start, unsigned long end)
{
	struct mnk_section *section = NULL;
	int i;

	for (i = 0; !section && i < MNK_SECTIONS; i++)
		if (!ctx->sections[i].range.mm)
			section = &ctx->sections[i];
	KUNIT_ASSERT_NOT_NULL(ctx->test, section);
	mmu_notifier_range_init_owner(&section->range, MMU_NOTIFY_CLEAR, 0, mm,
				      start, end, NULL);
	return section;
}

unsigned long mnk_do_section(void *arg)
{
	struct mnk_section *section = arg;

	mmu_notifier_invalidate_range_start(&section->range);
	mnk_gate_pass(&section->hold, MNK_HOLD);
	mmu_notifier_invalidate_range_end(&section->range);
	return 0;
}

/* A section of a helper thread that stays open until its gate is opened. */
struct mnk_task *mnk_open_section(struct mnk_ctx *ctx, struct mm_struct *mm,
				  unsigned long start,
				  struct mnk_section **section)
{
	struct mnk_task *task;

	*section = mnk_section(ctx, mm, start, start + PAGE_SIZE);
	mnk_gate_arm(&(*section)->hold, MNK_HOLD);
	task = mnk_spawn(ctx, mnk_do_section, *section);
	mnk_gate_entered(ctx, &(*section)->hold);
	return task;
}

/*
 * Address spaces
 */

/* One page in the mm of the test thread. */
unsigned long mnk_map(struct mnk_ctx *ctx, struct file *file,
		      unsigned long flags)
{
	unsigned long addr = kunit_vm_mmap(ctx->test, file, 0, PAGE_SIZE,
					   PROT_READ | PROT_WRITE, flags, 0);

	KUNIT_ASSERT_NE(ctx->test, addr, 0);
	KUNIT_ASSERT_FALSE(ctx->test, IS_ERR_VALUE(addr));
	return addr;
}

static struct page *mnk_fault_in(unsigned long addr)
{
	struct page *page;

	if (put_user(1, (int __user *)addr) ||
	    get_user_pages_unlocked(addr, 1, &page, 0) != 1)
		return NULL;
	return page;
}

/* Fault in the page at @addr and watch it; it stays pinned for the test. */
struct page *mnk_populate(struct mnk_ctx *ctx, unsigned long addr)
{
	struct page *page = mnk_fault_in(addr);

	KUNIT_ASSERT_NOT_NULL(ctx->test, page);
	KUNIT_ASSERT_NULL(ctx->test, ctx->watch);
	WRITE_ONCE(ctx->watch, page);
	return page;
}

static unsigned long mnk_do_mm_populate(void *arg)
{
	struct mnk_mm *mm = arg;

	kthread_use_mm(mm->mm);
	mm->addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (!IS_ERR_VALUE(mm->addr))
		mm->page = mnk_fault_in(mm->addr);
	kthread_unuse_mm(mm->mm);
	return 0;
}

/* An mm that nobody ever ran in: its mm_count is steady. */
struct mnk_mm *mnk_mm_empty(struct mnk_ctx *ctx)
{
	struct mnk_mm *mm = NULL;
	int i;

	for (i = 0; !mm && i < MNK_MMS; i++)
		if (!ctx->mms[i].mm)
			mm = &ctx->mms[i];
	KUNIT_ASSERT_NOT_NULL(ctx->test, mm);
	mm->mm = mm_alloc();
	KUNIT_ASSERT_NOT_NULL(ctx->test, mm->mm);
	mmgrab(mm->mm);
	mm->live = true;
	mm->mm->task_size = TASK_SIZE;
	arch_pick_mmap_layout(mm->mm, &current->signal->rlim[RLIMIT_STACK]);
	return mm;
}

/* An mm that nobody runs in, with one page in it, which is watched. */
struct mnk_mm *mnk_mm(struct mnk_ctx *ctx)
{
	struct mnk_mm *mm = mnk_mm_empty(ctx);

	mnk_run(ctx, mnk_do_mm_populate, mm);
	KUNIT_ASSERT_NOT_NULL(ctx->test, mm->page);
	WRITE_ONCE(ctx->watch, mm->page);
	return mm;
}

unsigned long mnk_do_mmput(void *arg)
{
	mmput(arg);
	return 0;
}

void mnk_mmput(struct mnk_ctx *ctx, struct mnk_mm *mm)
{
	mm->live = false;
	mnk_run(ctx, mnk_do_mmput, mm->mm);
}

/*
 * Set-up and tear-down of a test case
 */

int mnk_init(struct kunit *test)
{
	struct mnk_ctx *ctx;
	int i, ret;

	ret = kunit_attach_mm();
	if (ret)
		return ret;
	ctx = kvzalloc_obj(*ctx);
	if (!ctx)
		return -ENOMEM;

	ctx->test = test;
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	init_waitqueue_head(&ctx->wq);
	spin_lock_init(&ctx->lock);
	for (i = 0; i < MNK_SUBS; i++)
		mnk_sub_init(ctx, &ctx->subs[i]);
	for (i = 0; i < MNK_IVLS; i++)
		mnk_ivl_init(ctx, &ctx->ivls[i]);
	for (i = 0; i < MNK_SECTIONS; i++)
		mnk_gate_init(&ctx->sections[i].hold);
	test->priv = ctx;
	return 0;
}

static void mnk_exit_threads(struct mnk_ctx *ctx)
{
	int i;

	for (i = 0; i < MNK_SUBS; i++)
		mnk_gate_open(&ctx->subs[i].gate);
	for (i = 0; i < MNK_IVLS; i++)
		mnk_gate_open(&ctx->ivls[i].gate);
	for (i = 0; i < MNK_SECTIONS; i++)
		mnk_gate_open(&ctx->sections[i].hold);
	for (i = 0; i < MNK_TASKS && !ctx->stuck; i++)
		if (ctx->tasks[i].used)
			mnk_join(ctx, &ctx->tasks[i]);
}

static void mnk_exit_subscriptions(struct mnk_ctx *ctx)
{
	int i;

	for (i = 0; i < MNK_IVLS && !ctx->stuck; i++)
		if (ctx->ivls[i].inserted)
			mnk_remove(&ctx->ivls[i]);
	for (i = 0; i < MNK_SUBS && !ctx->stuck; i++)
		if (ctx->subs[i].registered)
			mnk_unregister(&ctx->subs[i]);
	for (i = 0; i < MNK_SUBS && !ctx->stuck; i++)
		while (ctx->subs[i].gets)
			mnk_put(&ctx->subs[i]);
	if (!wait_event_timeout(ctx->wq, !atomic_read(&ctx->unfreed),
				MNK_TIMEOUT)) {
		KUNIT_FAIL(ctx->test, "free_notifier was not called");
		ctx->stuck = true;
	}
	/* Let the last free_notifier get out of its wake-up. */
	spin_lock_irq(&ctx->wq.lock);
	spin_unlock_irq(&ctx->wq.lock);
}

static void mnk_exit_mms(struct mnk_ctx *ctx)
{
	bool private = false;
	int i;

	for (i = 0; i < MNK_MMS; i++) {
		struct mnk_mm *mm = &ctx->mms[i];

		if (!mm->mm)
			continue;
		if (mm->page) {
			private |= ctx->watch == mm->page;
			put_page(mm->page);
		}
		if (mm->live)
			mmput(mm->mm);
		mmdrop(mm->mm);
	}
	if (ctx->watch && !private)
		put_page(ctx->watch);
	mmdrop(ctx->mm);
}

/* What a stuck thread may still look at is leaked. */
void mnk_exit(struct kunit *test)
{
	struct mnk_ctx *ctx = test->priv;

	if (!ctx)
		return;
	mnk_exit_threads(ctx);
	if (!ctx->stuck)
		mnk_exit_subscriptions(ctx);
	KUNIT_EXPECT_LE(test, ctx->nr_calls, MNK_CALLS);
	if (ctx->stuck)
		return;
	mnk_exit_mms(ctx);
	kvfree(ctx);
}
