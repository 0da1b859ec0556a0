// SPDX-License-Identifier: GPL-2.0
/*
 * When no pte may be established: in the range of an open section, and when a
 * section has ended since the page was looked up.
 *
 * The same counter and sequence number as KVM keeps. A start raises the counter
 * and drops the ptes under one hold of the lock; an end changes the sequence
 * before it lowers the counter. A fault samples the sequence, looks the page up
 * and, under the lock, gives up if its address is in an open section or the
 * sequence has changed. The range of several open sections is their union.
 *
 * Also the injected behaviour: it belongs to the notifier and not to one mmu,
 * since the callback that it changes does.
 */
#include <linux/delay.h>
#include <linux/sched/signal.h>

#include "tmn.h"

void tmn_guard_init(struct tmn_guard *guard)
{
	spin_lock_init(&guard->lock);
	init_waitqueue_head(&guard->wait);
	guard->next = TMN_OBEY;
}

static bool tmn_guard_covers(const struct tmn_guard *guard, unsigned long addr)
{
	return guard->in_progress && addr >= guard->start && addr < guard->end;
}

/**
 * tmn_guard_turn - take what was injected for this start
 * @guard: of the notifier that is called
 * @range: of the section
 *
 * Context: under &tmn_guard.lock.
 * Return: what the callback has to do.
 */
struct tmn_turn tmn_guard_turn(struct tmn_guard *guard,
			       const struct mmu_notifier_range *range)
{
	bool blockable = mmu_notifier_range_blockable(range);
	struct tmn_turn turn = {};

	lockdep_assert_held(&guard->lock);
	turn.delay = blockable ? guard->delay : 0;
	turn.refuse = guard->next == TMN_REFUSE && !blockable;
	turn.block = guard->next == TMN_BLOCK && blockable;
	turn.forget = guard->next == TMN_FORGET;
	turn.obeyed = guard->obeyed;
	if (turn.refuse || turn.block || turn.forget)
		guard->next = TMN_OBEY;
	return turn;
}

/**
 * tmn_guard_start - a section starts
 * @guard: of the notifier that is called
 * @range: of the section
 * @refuse: the callback is going to fail
 *
 * Context: under &tmn_guard.lock.
 */
void tmn_guard_start(struct tmn_guard *guard,
		     const struct mmu_notifier_range *range, bool refuse)
{
	lockdep_assert_held(&guard->lock);
	if (refuse) {
		guard->refused = range;
		guard->refused_by = current;
		return;
	}
	/* Whatever this task had refused before, that section is over. */
	if (guard->refused_by == current)
		guard->refused_by = NULL;
	if (!guard->in_progress++) {
		guard->start = range->start;
		guard->end = range->end;
	} else {
		guard->start = min(guard->start, range->start);
		guard->end = max(guard->end, range->end);
	}
}

/**
 * tmn_guard_end - a section ends
 * @guard: of the notifier that is called
 * @range: of the section
 *
 * There are cores that call the end of a section although its start was
 * refused, right after and in the same task. That must not end another section.
 *
 * Context: under &tmn_guard.lock.
 */
void tmn_guard_end(struct tmn_guard *guard,
		   const struct mmu_notifier_range *range)
{
	lockdep_assert_held(&guard->lock);
	if (guard->refused_by == current && guard->refused == range) {
		guard->refused_by = NULL;
		return;
	}
	if (WARN_ON_ONCE(!guard->in_progress))
		return;
	guard->seq++;
	if (!--guard->in_progress)
		wake_up_all(&guard->wait);
}

static bool tmn_guard_sample(struct tmn_guard *guard, unsigned long addr,
			     unsigned long *seq)
{
	bool covered;

	spin_lock(&guard->lock);
	covered = tmn_guard_covers(guard, addr);
	*seq = guard->seq;
	spin_unlock(&guard->lock);
	return !covered;
}

/**
 * tmn_guard_begin - begin to look a page up
 * @mmu: whose guard is asked
 * @addr: of the page
 * @seq: the sequence number, for tmn_guard_retry()
 *
 * Where KVM would resume the guest and take the same fault again, this waits
 * for the section to end.
 *
 * Context: sleeps, no locks that a section may be run under.
 * Return: 0, or -ERESTARTSYS on a signal.
 */
int tmn_guard_begin(struct tmn_mmu *mmu, unsigned long addr, unsigned long *seq)
{
	struct tmn_guard *guard = mmu->guard;

	return wait_event_interruptible(guard->wait,
					tmn_guard_sample(guard, addr, seq));
}

/**
 * tmn_guard_retry - may what was looked up not be used?
 * @mmu: whose guard is asked
 * @addr: of the page
 * @seq: from tmn_guard_begin()
 *
 * Context: under &tmn_guard.lock.
 * Return: true if it must not be used.
 */
bool tmn_guard_retry(struct tmn_mmu *mmu, unsigned long addr, unsigned long seq)
{
	struct tmn_guard *guard = mmu->guard;

	lockdep_assert_held(&guard->lock);
	return tmn_guard_covers(guard, addr) || guard->seq != seq;
}

/**
 * tmn_turn_sleep - sleep as a start has been told
 * @guard: of the notifier that is called
 * @turn: from tmn_guard_turn()
 *
 * An exiting task is not blocked: nobody would be left to say TMN_OBEY, if the
 * device was its own.
 *
 * Context: sleeps if @turn says so.
 */
void tmn_turn_sleep(struct tmn_guard *guard, const struct tmn_turn *turn)
{
	if (turn->delay)
		msleep(turn->delay);
	if (turn->block && !(current->flags & PF_EXITING))
		wait_event_killable(guard->wait, turn->obeyed !=
				    READ_ONCE(guard->obeyed));
}

/**
 * tmn_guard_delay - sleep as all blockable callbacks have been told
 * @guard: of the notifier that is called
 *
 * Context: may sleep.
 */
void tmn_guard_delay(struct tmn_guard *guard)
{
	unsigned int delay = READ_ONCE(guard->delay);

	if (delay)
		msleep(delay);
}

/**
 * tmn_behave - inject a behaviour
 * @guard: of the notifier
 * @behaviour: TMN_OBEY cancels all others
 * @msecs: for TMN_DELAY
 */
void tmn_behave(struct tmn_guard *guard, enum tmn_behaviour behaviour,
		unsigned int msecs)
{
	spin_lock(&guard->lock);
	switch (behaviour) {
	case TMN_DELAY:
		WRITE_ONCE(guard->delay, msecs);
		break;
	case TMN_OBEY:
		WRITE_ONCE(guard->delay, 0);
		WRITE_ONCE(guard->obeyed, guard->obeyed + 1);
		fallthrough;
	default:
		guard->next = behaviour;
	}
	spin_unlock(&guard->lock);
	wake_up_all(&guard->wait);
}
