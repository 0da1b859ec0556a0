/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the mmu_notifier KUnit suites share: subscribers that record every
 * callback, threads that fail a test instead of hanging it, and address
 * spaces with real mappings.
 *
 * A suite names mnk_init() and mnk_exit() as its init and exit. Everything
 * that a test case takes from these helpers is undone by mnk_exit(), also when
 * the case stops at a failed assertion. A case must not leave a section of its
 * own thread open, so between mnk_start() and mnk_end() it does not assert.
 *
 * Numbers in brackets at the test cases are what in-tree users rely on:
 *
 *  1. start and end are paired for each subscriber
 *  2. intervals hear before whole-mm subscribers, release included
 *  3. a refused start is offered to all, and ended for those that took it;
 *     an interval that refuses comes before all that
 *  4. non-blocking sections carry MMU_NOTIFY_CLEAR only; interval callbacks
 *     may take a mutex in them
 *  5. last registered is first called; one owner may register twice
 *  6. after release a whole-mm subscriber hears nothing, an interval hears
 *     MMU_NOTIFY_UNMAP
 *  7. MMU_NOTIFY_RELEASE covers [0, ULONG_MAX] and is blockable
 *  8. release may sleep and put its own object; it precedes the freeing of
 *     pages and the return of unregister
 *  9. unregister, put, remove and read_begin work without mm_users and from
 *     kworkers
 * 10. unregister calls release if nobody did, is synchronous, never frees,
 *     and leaves ->mm readable
 * 11. put never calls release, does not wait, and works after exit
 * 12. an object without users is invisible to get; the identity is ->ops
 * 13. register makes one user, which put may drop
 * 14. free_notifier runs in task context
 * 15. mmu_notifier_synchronize() covers all mms
 * 16. insert may return early, read_begin makes it live; the latter does not
 *     depend on mmap_lock
 * 17. remove works under mmap_lock; nothing touches the object afterwards
 * 18. insert next to other intervals waits for no section
 * 19. a failed insert leaves an object that was never inserted
 * 20. sequence numbers are odd, start small, differ between sections, change
 *     by mmu_interval_set_seq() only, and are neither LONG_MAX nor ULONG_MAX
 * 21. mmu_interval_set_seq() may be skipped
 * 22. two passes: invalidate_start is preferred; finish once, in start order,
 *     after all starts, also after a refusal; the object is the driver's then
 * 23. an interval pins the mm
 * 24. young and TLB callbacks run under spinlocks
 * 25. callbacks run under the lockdep map of invalidate_range_start
 * 26. objects may be garbage before they are registered or inserted
 * 27. mm_has_notifiers() is false for an mm that never had one
 * 28. vm_ops->open may register in the half-built child of a fork
 */
#ifndef _MM_TESTS_MMU_NOTIFIER_KUNIT_H
#define _MM_TESTS_MMU_NOTIFIER_KUNIT_H

#include <kunit/test.h>
#include <linux/completion.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

/* Upper bound for whatever has to happen. */
#define MNK_TIMEOUT	(4 * HZ)
/* How long something has to stay blocked to be called blocked. */
#define MNK_PROBE	msecs_to_jiffies(20)

/* Sections that the tests drive themselves need no mapping: any address does */
#define MNK_BASE	((unsigned long)SZ_256M)

#define MNK_CALLS	256
#define MNK_SUBS	6
#define MNK_IVLS	24
#define MNK_SECTIONS	4
#define MNK_TASKS	16
#define MNK_MMS		2
#define MNK_FINISHES	4

enum mnk_op {
	MNK_NONE,
	MNK_START,
	MNK_END,
	MNK_RELEASE,
	MNK_FLUSH_YOUNG,
	MNK_CLEAR_YOUNG,
	MNK_TEST_YOUNG,
	MNK_TLB,
	MNK_ALLOC,
	MNK_FREE,
	MNK_INVALIDATE,
	MNK_INVALIDATE_START,
	MNK_INVALIDATE_FINISH,
	MNK_HOLD,
};

/**
 * struct mnk_call - one recorded callback
 * @op: which callback
 * @who: the struct mnk_sub or struct mnk_ivl that was called
 * @mm: the mm that the callback was given
 * @start: start of the range, or the address
 * @end: end of the range
 * @event: event of the range
 * @owner: owner of the range
 * @seq: sequence number given to an interval
 * @blockable: the range is blockable
 * @in_task: called in task context
 * @may_sleep: preemption and interrupts were enabled
 * @non_block: called inside non_block_start()
 * @lock_map: called inside the lockdep map of sections, true without lockdep
 * @mapcount: mapcount of the watched page, -1 without one
 */
struct mnk_call {
	enum mnk_op op;
	const void *who;
	struct mm_struct *mm;
	unsigned long start;
	unsigned long end;
	enum mmu_notifier_event event;
	void *owner;
	unsigned long seq;
	bool blockable;
	bool in_task;
	bool may_sleep;
	bool non_block;
	bool lock_map;
	int mapcount;
};

/* A callback of kind @op reports at @entered, then waits for @open. */
struct mnk_gate {
	enum mnk_op op;
	struct completion entered;
	struct completion open;
};

struct mnk_ctx;

/* A whole-mm subscriber. */
struct mnk_sub {
	struct mmu_notifier mn;
	struct mmu_notifier_ops ops;
	struct mnk_ctx *ctx;
	struct mnk_gate gate;
	bool used;
	bool registered;
	bool refuse;
	bool young;
	unsigned int gets;
	void (*on_release)(struct mnk_sub *sub);
	void *data;
};

struct mnk_finish {
	struct mmu_interval_notifier_finish base;
	struct mnk_ctx *ctx;
	struct mnk_ivl *ivl;
	atomic_t finished;
};

/* An interval subscriber. */
struct mnk_ivl {
	struct mmu_interval_notifier mni;
	struct mmu_interval_notifier_ops ops;
	struct mnk_ctx *ctx;
	struct mnk_gate gate;
	struct mutex lock;	/* the user lock of the retry scheme */
	bool used;
	bool inserted;
	bool refuse;
	bool skip_seq;
	bool no_finish;
	atomic_t calls;
	atomic_t next_finish;
	struct mnk_finish finish[MNK_FINISHES];
};

/* A section that a helper thread runs, held open at @hold when that is set. */
struct mnk_section {
	struct mmu_notifier_range range;
	struct mnk_gate hold;
};

struct mnk_task {
	unsigned long (*fn)(void *arg);
	void *arg;
	unsigned long ret;
	bool used;
	struct completion done;
};

/* A private mm with one page mapped at @addr, which @page pins. */
struct mnk_mm {
	struct mm_struct *mm;
	unsigned long addr;
	struct page *page;
	bool live;
};

/* A call that the core has to warn about, and how often it did. */
struct mnk_misuse {
	unsigned long (*fn)(void *arg);
	void *arg;
	unsigned long ret;
	int warnings;
};

struct mnk_ctx {
	struct kunit *test;
	struct mm_struct *mm;		/* the mm of the test thread */
	struct page *watch;		/* see mnk_call.mapcount */
	bool stuck;			/* a helper thread never came back */
	bool fail_alloc;
	atomic_t unfreed;		/* allocated by get(), not yet freed */
	wait_queue_head_t wq;
	spinlock_t lock;		/* of the log */
	unsigned int nr_calls;
	struct mnk_call calls[MNK_CALLS];
	struct mnk_sub subs[MNK_SUBS];
	struct mnk_ivl ivls[MNK_IVLS];
	struct mnk_section sections[MNK_SECTIONS];
	struct mnk_task tasks[MNK_TASKS];
	struct mnk_mm mms[MNK_MMS];
	struct mnk_misuse misuse;
};

int mnk_init(struct kunit *test);
void mnk_exit(struct kunit *test);

/* The log. */
void mnk_record(struct mnk_ctx *ctx, struct mnk_call *call);
void mnk_record_range(struct mnk_ctx *ctx, enum mnk_op op, const void *who,
		      const struct mmu_notifier_range *range,
		      unsigned long seq);
unsigned int mnk_count(struct mnk_ctx *ctx, enum mnk_op op, const void *who);
int mnk_pos(struct mnk_ctx *ctx, enum mnk_op op, const void *who,
	    unsigned int nth);
const struct mnk_call *mnk_call(struct mnk_ctx *ctx, enum mnk_op op,
				const void *who, unsigned int nth);
void mnk_forget(struct mnk_ctx *ctx);

/* Gates. */
void mnk_gate_init(struct mnk_gate *gate);
void mnk_gate_pass(struct mnk_gate *gate, enum mnk_op op);
void mnk_gate_arm(struct mnk_gate *gate, enum mnk_op op);
bool mnk_gate_entered(struct mnk_ctx *ctx, struct mnk_gate *gate);
void mnk_gate_open(struct mnk_gate *gate);

/* Helper threads. */
struct mnk_task *mnk_spawn(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg),
			   void *arg);
void mnk_expect_blocked(struct mnk_ctx *ctx, struct mnk_task *task);
void mnk_expect_returned(struct mnk_ctx *ctx, struct mnk_task *task);
unsigned long mnk_join(struct mnk_ctx *ctx, struct mnk_task *task);
unsigned long mnk_run(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg),
		      void *arg);

/* Misuse. */
int mnk_warnings(struct mnk_ctx *ctx, unsigned long (*fn)(void *arg),
		 void *arg);
void mnk_assert_misuse_is_caught(struct mnk_ctx *ctx);

/* Whole-mm subscribers. */
extern const struct mmu_notifier_ops mnk_get_ops;
extern const struct mmu_notifier_ops mnk_other_get_ops;
void mnk_op_tlb(struct mmu_notifier *mn, struct mm_struct *mm,
		unsigned long start, unsigned long end);
void mnk_sub_init(struct mnk_ctx *ctx, struct mnk_sub *sub);
struct mnk_sub *mnk_sub(struct mnk_ctx *ctx);
void mnk_register(struct mnk_sub *sub, struct mm_struct *mm);
struct mnk_sub *mnk_sub_on(struct mnk_ctx *ctx, struct mm_struct *mm);
unsigned long mnk_do_unregister(void *sub);
void mnk_unregister(struct mnk_sub *sub);
struct mnk_sub *mnk_get(struct mnk_ctx *ctx, const struct mmu_notifier_ops *ops,
			struct mm_struct *mm);
unsigned long mnk_do_put(void *sub);
void mnk_put(struct mnk_sub *sub);
void mnk_expect_freed(struct mnk_sub *sub);

/* Interval subscribers. */
void mnk_ivl_init(struct mnk_ctx *ctx, struct mnk_ivl *ivl);
struct mnk_ivl *mnk_ivl(struct mnk_ctx *ctx);
struct mnk_ivl *mnk_ivl_two_pass(struct mnk_ctx *ctx);
void mnk_insert(struct mnk_ivl *ivl, struct mm_struct *mm, unsigned long start,
		unsigned long length);
struct mnk_ivl *mnk_ivl_on(struct mnk_ctx *ctx, struct mm_struct *mm,
			   unsigned long start, unsigned long length);
unsigned long mnk_do_remove(void *ivl);
void mnk_remove(struct mnk_ivl *ivl);
unsigned long mnk_do_read_begin(void *ivl);
unsigned long mnk_read_begin(struct mnk_ivl *ivl);
bool mnk_read_retry(struct mnk_ivl *ivl, unsigned long seq);

/* Sections. */
void mnk_start(struct mmu_notifier_range *range, struct mm_struct *mm,
	       unsigned long start, unsigned long end);
void mnk_end(struct mmu_notifier_range *range);
void mnk_invalidate(struct mm_struct *mm, unsigned long start,
		    unsigned long end);
int mnk_invalidate_nonblock(struct mm_struct *mm, unsigned long start,
			    unsigned long end);
struct mnk_section *mnk_section(struct mnk_ctx *ctx, struct mm_struct *mm,
				unsigned long start, unsigned long end);
unsigned long mnk_do_section(void *section);
struct mnk_task *mnk_open_section(struct mnk_ctx *ctx, struct mm_struct *mm,
				  unsigned long start,
				  struct mnk_section **section);

/* Address spaces. */
unsigned long mnk_map(struct mnk_ctx *ctx, struct file *file,
		      unsigned long flags);
struct page *mnk_populate(struct mnk_ctx *ctx, unsigned long addr);
struct mnk_mm *mnk_mm_empty(struct mnk_ctx *ctx);
struct mnk_mm *mnk_mm(struct mnk_ctx *ctx);
unsigned long mnk_do_mmput(void *mm);
void mnk_mmput(struct mnk_ctx *ctx, struct mnk_mm *mm);

#endif /* _MM_TESTS_MMU_NOTIFIER_KUNIT_H */
