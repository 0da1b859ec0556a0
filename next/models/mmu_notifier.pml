/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole-mm subscriptions: sections, registration, unregister, put, release.
 *
 * Two tasks run a section each. Two tasks register a subscription each, in
 * either order, and unregister it. The mm exits after both registrations. With
 * REFUSE there is no exit, but one of the sections is non-blocking and may be
 * refused, and the second subscription is taken away by put. Letters are those
 * of the barriers in mm/mmu_notifier.c. With ONE there is one section, and exit.
 *
 * Memory: per-CPU counters are written into a store buffer that drains as late
 * as it can, when a grace period passes through the CPU or the CPU executes a
 * full barrier; with EAGER at once. RCU readers are flags; a grace period looks
 * at each CPU once and finds it outside of readers.
 *
 * Steps are merged where nobody can tell: critical sections of registry->lock;
 * the walk of the list up to the reference; leaving the reader and the
 * callback, whose subscription is looked at again afterwards. Only section 0 of
 * REFUSE and ONE shows the inside of the readers of its walks.
 */
#define NIL	2
#define NSEC	2
#define EXIT	2	/* as a CPU: the exiting task */

#define after(a, b)	((((a) - (b)) & 255) != 0 && (((a) - (b)) & 255) < 128)

/* The registry. The generation wraps with the second registration. */
byte gen = 254;
bool live, used;
byte nr, head = NIL;
byte nxt[2] = NIL;
bool hashed[2];
byte epoch[2];
short slots[2];		/* visible per-CPU sums */
short left;
bool adding;		/* left is valid: the sum has been added */

/* Subscriptions */
bool released[2], freed[2];
short refs[2], refs_left[2];

/* CPUs */
bool rcu[2], dom[2];
short slot_buf[6], ref_buf[6];	/* [cpu * 2 + slot or subscription] */

/* What is to be proved */
bool registered[2];	/* between return of register and call of unregister */
bool heard[4], open[4];	/* start: called, and not ended since; as above */
byte releases[2];	/* ->release calls */
bool release_done[2];
byte nregistered;
bool mmap_lock;

inline flush(c)
{
	slots[0] = slots[0] + slot_buf[c * 2]; slot_buf[c * 2] = 0;
	slots[1] = slots[1] + slot_buf[c * 2 + 1]; slot_buf[c * 2 + 1] = 0;
	refs[0] = refs[0] + ref_buf[c * 2]; ref_buf[c * 2] = 0;
	refs[1] = refs[1] + ref_buf[c * 2 + 1]; ref_buf[c * 2 + 1] = 0;
}

/* this_cpu_add(): visible now or later */
inline slot_add(c, s, d)
{
	slot_buf[(c) * 2 + (s)] = slot_buf[(c) * 2 + (s)] + (d);
#ifdef EAGER
	flush(c)
#endif
}

inline ref_add(c, i, d)
{
	assert(!freed[i]);
	ref_buf[(c) * 2 + (i)] = ref_buf[(c) * 2 + (i)] + (d);
#ifdef EAGER
	flush(c)
#endif
}

inline rcu_gp()
{
	atomic { !rcu[0] -> flush(0) }
	atomic { !rcu[1] -> flush(1) }
}

inline srcu_gp()
{
	atomic { !dom[0] -> flush(0) }
	atomic { !dom[1] -> flush(1) }
}

/* mn_ref_put(), in an RCU reader, after ref_put_look() */
inline ref_put(c, i)
{
	assert(!freed[i]);
	if
	:: h -> ref_add(c, i, -1)
	:: else -> flush(c); refs_left[i] = refs_left[i] - 1
	fi;
	h = false
}

inline ref_put_look(i)
{
	assert(!freed[i]);
#ifdef BUG_PUT_IGNORES_UNLINK
	h = true
#else
	h = hashed[i]
#endif
}

/* mn_ref_drain(); the memory may be freed on return */
inline ref_drain(i)
{
	d_step { refs_left[i] = refs_left[i] + refs[i]; refs[i] = 0 }
	d_step {
		refs_left[i] == 0 ->
		freed[i] = true;
		epoch[i] = 0;
		nxt[i] = NIL
	}
}

/* mn_advance() of section p: prev, the next due subscription, a reference */
inline advance(p, half_end)
{
	d_step {
		rcu[p] = true;		/* Barrier D */
		if
		:: prev == NIL -> pos = head
		:: else ->
			assert(!freed[prev]);
#ifdef BUG_STALE_NEXT
			pos = nxt[prev]
#else
			if
			:: hashed[prev] -> pos = nxt[prev]
			:: else ->
				pos = head;
				do
				:: pos != NIL &&
				   !after(epoch[prev], epoch[pos]) ->
					pos = nxt[pos]
				:: else -> break
				od
			fi
#endif
		fi;
		do
		:: pos != NIL ->
			assert(!freed[pos]);
			if
#ifdef BUG_END_IGNORES_EPOCH
			:: !half_end && after(epoch[pos], e) -> pos = nxt[pos]
#else
			:: after(epoch[pos], e) -> pos = nxt[pos]
#endif
			:: else -> break
			fi
		:: else -> break
		od;
		if
		:: pos != NIL -> ref_add(p, pos, 1)
		:: else -> skip
		fi;
		if
		:: prev != NIL -> ref_put_look(prev)
		:: else -> skip
		fi
	}
}

/* The rest of it: drop the reference on prev */
inline advanced(p)
{
	if
	:: prev != NIL -> ref_put(p, prev)
	:: else -> skip
	fi;
	rcu[p] = false;
	prev = pos;
	pos = NIL
}

/* C1: exactly one end for one start, to nobody else. C3: not after freeing. */
inline call_end(p, i)
{
	assert(!freed[i]);
	assert(open[p * 2 + i]);
	open[p * 2 + i] = false
}

/* C1: who still listens has heard the end of all it had accepted */
#define paired(p, i)	(!registered[i] || released[i] || !open[(p) * 2 + (i)])
/* C2: no section in flight that a registered subscriber has not been offered */
#define offered(p, i)	(!registered[i] || released[i] || heard[(p) * 2 + (i)])

inline section_domain(p)
{
#ifdef BUG_C_TEST_FIRST
	was_live = live;
	dom[p] = true;
#else
	dom[p] = true;		/* Barrier C */
	was_live = live;
#endif
	atomic {
		assert(was_live || (offered(p, 0) && offered(p, 1)));
		dom[p] = false
	}
}

inline section_enter(p)
{
	d_step { rcu[p] = true; e = gen }	/* Barriers A, B */
	d_step { slot_add(p, e & 1, 1); rcu[p] = false }
}

/* mn_list_start(), which remembers one refusal */
inline start_callback(p)
{
	assert(!heard[p * 2 + prev]);
	heard[p * 2 + prev] = true;
	if
	:: open[p * 2 + prev] = true;
		if
#ifndef BUG_NO_END_AFTER_REFUSAL
		:: failed -> call_end(p, prev)
#endif
		:: else -> skip
		fi
#ifdef REFUSE
	:: p == 1 ->
		if
		:: !failed -> failed = true; fail_epoch = epoch[prev]
		:: else -> skip
		fi
#endif
	fi
}

/* mn_list_end(), or the second half of mn_list_start() */
inline end_callback(p)
{
	if
#ifdef BUG_END_TO_REFUSER
	:: true -> call_end(p, prev)
#else
	:: !failed || after(epoch[prev], fail_epoch) -> call_end(p, prev)
	:: else -> skip
#endif
	fi
}

/* mn_section_leave() */
inline section_leave(p)
{
	d_step {
		assert(paired(p, 0) && paired(p, 1));
		assert(failed || (offered(p, 0) && offered(p, 1)));
		rcu[p] = true;		/* Barrier B */
#ifdef BUG_LEAVE_IGNORES_GEN
		h = true
#else
		h = (gen == e)
#endif
	}
	d_step {
		if
		:: h -> slot_add(p, e & 1, -1)
		:: else -> flush(p); left = left - 1
		fi;
		rcu[p] = false
	}
}

/* Forget what is proved, for fewer states */
inline section_forget(p)
{
	d_step {
		heard[p * 2] = false; heard[p * 2 + 1] = false;
		open[p * 2] = false; open[p * 2 + 1] = false;
		e = 0; fail_epoch = 0; failed = false; h = false;
		was_live = false
	}
}

/* The inside of the readers of a walk is shown to the others, or is not */
#define WALK_FINE(p, half, callback)					\
	do								\
	:: advance(p, half);						\
	   atomic {							\
		advanced(p);						\
		if							\
		:: prev == NIL -> break					\
		:: else -> callback(p)					\
		fi							\
	   }								\
	od;								\
	skip
#define WALK_COARSE(p, half, callback)					\
	do								\
	:: atomic {							\
		advance(p, half);					\
		advanced(p);						\
		if							\
		:: prev == NIL -> break					\
		:: else -> callback(p)					\
		fi							\
	   }								\
	od;								\
	skip
#define SECTION(p, WALK)						\
	byte e, pos = NIL, prev = NIL, fail_epoch;			\
	bool h, failed, was_live;					\
	section_domain(p);						\
	if								\
	:: was_live ->							\
		section_enter(p);					\
		WALK(p, false, start_callback);				\
		WALK(p, true, end_callback);				\
		section_leave(p)					\
	:: else -> skip							\
	fi;								\
	skip;								\
	section_forget(p)

#if defined(REFUSE) || defined(ONE)
proctype section_0() { SECTION(0, WALK_FINE) }
#else
proctype section_0() { SECTION(0, WALK_COARSE) }
#endif
proctype section_1() { SECTION(1, WALK_COARSE) }

inline link(i)
{
	epoch[i] = ep; nxt[i] = head; head = i; hashed[i] = true
}

inline register(i)
{
#ifdef BUG_A_GEN_FIRST
	d_step { !mmap_lock -> mmap_lock = true; ep = gen + 1; gen = ep }
#endif
	d_step {
#ifndef BUG_A_GEN_FIRST
		!mmap_lock -> mmap_lock = true; ep = gen + 1; gen = ep;
#endif
		link(i);	/* Barrier A: not after gen */
		first = (nr == 0);
		nr++;
		live = true;	/* Barrier C */
		was_used = used;
		used = true
	}
#ifndef BUG_C_NO_WAIT
	if
	:: first -> srcu_gp()	/* Barrier C */
	:: else -> skip
	fi;
#endif
	if
	:: was_used ->
#ifndef BUG_B_NO_GP
		rcu_gp();	/* Barrier B */
#endif
#ifndef BUG_NO_DRAIN
		d_step {
			left = left + slots[(ep - 1) & 1];
			slots[(ep - 1) & 1] = 0
		}
#endif
	:: else -> skip
	fi;
	d_step {
		left == 0 ->
		registered[i] = true; nregistered++; mmap_lock = false
	}
}

/* mn_unlink(), under the lock */
inline unlink(i)
{
	if
	:: hashed[i] ->
		if
		:: head == i -> head = nxt[i]
		:: else -> nxt[1 - i] = nxt[i]
		fi;
		hashed[i] = false;
		nr--;
		live = (nr != 0)
	:: else -> skip
	fi
}

inline call_release(i)
{
	d_step { assert(!freed[i]); releases[i]++; assert(releases[i] == 1) }
	d_step { assert(!freed[i]); release_done[i] = true }
}

inline unregister(i)
{
	d_step {
		registered[i] = false;
		mine = !released[i];
		released[i] = true;
#ifdef BUG_UNLINK_BEFORE_RELEASE
		unlink(i)
#endif
	}
	if
	:: mine -> call_release(i)
	:: else -> skip
	fi;
	d_step { unlink(i) }		/* Barrier D */
#ifndef BUG_D_NO_GP
	rcu_gp();			/* Barrier D */
#endif
	ref_drain(i);
	/* C4: ->release is not running any more */
	d_step {
		assert(release_done[i]);
		releases[i] = 0;
		release_done[i] = false
	}
}

inline put(i)
{
	d_step {
		registered[i] = false;
		unlink(i)		/* Barrier D */
	}
	/* The workqueue */
	rcu_gp();			/* Barrier D */
	ref_drain(i);
	assert(releases[i] == 0 || release_done[i])
}

proctype subscriber(byte i)
{
	byte ep;
	bool first, was_used, mine;

	register(i);
#ifdef REFUSE
	if
	:: i == 0 -> unregister(i)
	:: else -> put(i)
	fi;
#else
	unregister(i);
#endif
	d_step { ep = 0; first = false; was_used = false; mine = false }
}

proctype exit_mmap()
{
	byte i;
	bool h, mine;

	nregistered == 2;	/* they hold mm_users */
	do
	:: atomic {
		head == NIL -> break
	   }
	:: atomic {
		head != NIL ->
		i = head;
#ifndef BUG_EXIT_NO_REF
		ref_add(EXIT, i, 1);
		flush(EXIT);	/* by the lock */
#endif
		mine = !released[i];
		released[i] = true
	   }
		if
		:: !mine ->
#ifdef BUG_EXIT_NO_WAIT
			break
#else
			!hashed[i]
#endif
		:: else ->
			call_release(i);
			d_step { unlink(i) }
		fi;
#ifndef BUG_EXIT_NO_REF
		d_step { ref_put_look(i); ref_put(EXIT, i); flush(EXIT); i = 0 }
#endif
	od;
	skip;
	/* C4: pages are freed now */
	d_step {
		assert(!registered[0] || release_done[0]);
		assert(!registered[1] || release_done[1]);
		/* A release that has begun has ended */
		assert(releases[0] == 0 || release_done[0]);
		assert(releases[1] == 0 || release_done[1])
	}
}

init {
	atomic {
		run section_0();
#ifndef ONE
		run section_1();
#endif
		run subscriber(0);
		run subscriber(1);
#ifndef REFUSE
		run exit_mmap()
#endif
	}
}
