/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whole-mm subscriptions: sections, registration, unregister, put, release.
 *
 * Each section is a task on a CPU of its own. Two subscribers register, in
 * either order, and unregister or put. The mm exits when both registrations
 * have returned. models/check searches each configuration completely, and finds
 * each seeded bug in one of them. It reads these lists:
 *
 *	config	FULL	two sections, two subscribers, one of which unregisters,
 *			exit
 *	config	ONE	one section that may be refused, or hang in a callback;
 *			registrations that make the registry, or fail; both
 *			unregister, exit
 *	config	FINE	one section or one walk for the young bits, load by
 *			load; both unregister or one puts, exit
 *	config	OLD	one section; a subscriber that is 200 generations old;
 *			both unregister, exit
 *	config	REFUSE	two sections, one of which may be refused; unregister
 *			and put; no exit
 *	config	ALL	two sections; both unregister, exit
 *
 *	seed	A_GEN_FIRST		ONE	C1
 *	seed	A_LIST_EARLY		ONE	C3
 *	seed	B_NO_GP			ONE	C2
 *	seed	B_ENTER_NO_READER	ONE	C2
 *	seed	B_LEAVE_NO_READER	ONE	hang
 *	seed	C_TEST_FIRST		ONE	C2
 *	seed	C_NO_WAIT		ONE	C2
 *	seed	C_WAIT_ONCE		ONE	C2
 *	seed	C_LIVE_EARLY		ONE	hang
 *	seed	D_NO_GP			FINE	C3
 *	seed	D_WALK_NO_READER	FINE	C3
 *	seed	D_PUT_NO_READER		ONE	hang
 *	seed	D_YOUNG_NO_READER	FINE	C3
 *	seed	NO_DRAIN		ONE	C2
 *	seed	MUTEX_EARLY		ONE	C2
 *	seed	GET_OVERWRITES		ONE	C2
 *	seed	GONE_RELAXED		ONE	hang
 *	seed	USERS_LATE		ONE	C2
 *	seed	LEAVE_IGNORES_GEN	ONE	hang
 *	seed	PUT_IGNORES_LINK	ONE	hang
 *	seed	STALE_NEXT		ONE	C3
 *	seed	END_IGNORES_AGE		ONE	C1
 *	seed	AGE_SIGNED		OLD	C2
 *	seed	UNLINK_FIRST		ONE	C2
 *	seed	UNLINK_WHILE_RELEASING	ONE	C2
 *	seed	EXIT_NO_WAIT		ONE	C4
 *	seed	EXIT_NO_REF		FINE	C3
 *	seed	NO_END_AFTER_REFUSAL	ONE	C1
 *	seed	END_TO_REFUSER		ONE	C1
 *	seed	UNREGISTER_WAITS	ONE	C3
 *	seed	EXIT_WAITS		ONE	C4
 *
 * The last column is what breaks. C1: a subscriber hears the end of just those
 * sections the start of which it accepted. C2: from the return of register to
 * that of ->release no section is in flight that it has not heard of. C3:
 * nothing of it is called or touched after unregister, and that waits for
 * nobody else. C4: ->release comes once, before the pages go, and exit waits
 * for nothing but that. A hang is a task that waits for ever.
 *
 * The kernel does in one reader what are two here, where nothing comes between.
 *
 * "Barrier X: function()" marks the statement that stands for the barrier of
 * that letter in that function of the kernel.
 *
 *
 * Memory
 *
 * Promela is sequentially consistent. What the kernel may see in another order
 * is here by these rules:
 *
 * - A grace period waits for the readers that run when it starts, and for no
 *   others. A kernel reader that begins after a store and before the grace
 *   period that follows may still load the old value. It is waited for, which
 *   makes it one that began before the store, and those are here.
 * - What a later reader counts on its CPU may be missing in the sum that
 *   follows the grace period, as if it sat in a store buffer (lag).
 * - Where two stores or two loads need a barrier they are two steps, and a seed
 *   exchanges them: A on both sides, C on both sides, the test of mm_users, the
 *   end of LIVE. Where they need none, in mn_unlink(), they come in any order.
 *
 * What registry->lock protects changes in as many steps as others can tell
 * apart: a walk may meet an entry that is linked before the generation moves.
 */
#define NIL	2
#define START	0	/* halves of a section */
#define END	1

#if defined(FULL) || defined(REFUSE) || defined(ALL)
#define NSEC	2
#else
#define NSEC	1
#endif

/* The registry. The generation wraps with the second registration. */
byte gen = 254;
bool live, used, mutex, lock;
byte nr, head = NIL;
byte nxt[2] = NIL;
bool hashed[2];
byte epoch[2];
short slots[2], left;
byte registry = NIL;		/* who made it */

/* Subscriptions */
bool released[2], freed[2];
short refs[2], refs_left[2];

bool mm_users = true;

/* Readers, and which grace periods wait for them */
bool rcu[2], domain[2];
byte rcu_gp[2], domain_gp[2];

/* Grace periods of RCU, and what is counted on CPUs: sections, references */
#define SECTIONS	0
#define REFS(i)		(1 + (i))
#define bit(n)		(1 << (n))
byte summing;			/* from the grace period to the sum */
short lag[6];			/* by REFS() and CPU */

/* What is to be proved, which spin names in its message if it is not */
#define must(clause, x)	assert((x) || clause)
hidden byte C1, C2, C3, C4;
bool bound[2];			/* from return of register to that of release */
bool heard[4], open[4];		/* start: called; accepted and not ended yet */
byte releases[2];
bool release_done[2];
byte nregistered;
bool exited;

/*
 * RCU and SRCU
 */

inline rcu_read_unlock(p) { rcu[p] = false; rcu_gp[p] = 0 }
inline domain_leave(p) { domain[p] = false; domain_gp[p] = 0 }

/* n: one of those that wait */
#define gp_start(readers, waits, n)				\
	waits[0] = waits[0] | (readers[0] << (n));		\
	waits[1] = waits[1] | (readers[1] << (n))
#define gp_over(waits, n)	(((waits[0] | waits[1]) & bit(n)) == 0)

inline rcu_gp_start(n)
{
	gp_start(rcu, rcu_gp, n);
	summing = summing | bit(n)
}

/* Is this CPU past the grace period after which the sum is taken? */
#define lags(p, n)	((summing & bit(n)) && !(rcu_gp[p] & bit(n)))

/* this_cpu_add() to the count of sections of epoch a, or of references */
inline count_section(p, a, d)
{
	if
	:: lags(p, SECTIONS) && a != gen ->
		lag[p] = lag[p] + d
	:: else -> slots[a & 1] = slots[a & 1] + d
	fi
}

inline count_ref(p, i, d)
{
	if
	:: lags(p, REFS(i)) -> lag[REFS(i) * 2 + p] = lag[REFS(i) * 2 + p] + d
	:: else -> refs[i] = refs[i] + d
	fi
}

/* Of one CPU: seen by the sum, or added to what is left by it */
inline settle_cpu(count, l)
{
	if
	:: l != 0 -> count = count + l; l = 0
	:: true
	fi
}

/* mn_drain() up to the wait */
inline sum_up(n, count, rest)
{
	settle_cpu(count, lag[(n) * 2]);
	settle_cpu(count, lag[(n) * 2 + 1]);
	rest = rest + count;
	count = 0;
	summing = summing & ~bit(n)
}

/*
 * Sections
 */

/* How many generations older than the one that could still come */
#define age(i)	((e + 1 - epoch[i]) & 255)

#ifdef BUG_AGE_SIGNED
#define due(i)	(((e - epoch[i]) & 255) < 128)
#else
#define due(i)	(age(i) != 0)
#endif

/* C1: who still listens has heard the end of all it had accepted */
#define paired(p)	((!bound[0] || !open[(p) * 2]) && \
			 (!bound[1] || !open[(p) * 2 + 1]))
/* C2: none is in flight that somebody who listens has not been offered */
#define offered(p)	((!bound[0] || heard[(p) * 2]) && \
			 (!bound[1] || heard[(p) * 2 + 1]))

/* In FINE each load of a reader is a step, otherwise a reader has two */
#ifdef FINE
#define LOADS
#else
#define LOADS	d_step
#endif

/* The entry after prev; h: prev has not been unlinked meanwhile */
inline continue_walk()
{
	must(C3, !freed[prev]);
	h = hashed[prev];	/* Barrier D: mn_advance() */
#ifdef BUG_STALE_NEXT
	pos = nxt[prev]
#else
	if
	:: h -> pos = nxt[prev]
	:: else ->
		pos = head;
		do
		:: pos != NIL && age(pos) <= age(prev) -> pos = nxt[pos]
		:: else -> break
		od
	fi
#endif
}

/* pos becomes the next to call, with a reference; h: prev is still linked */
inline advance(p, half)
{
	LOADS {
#ifndef BUG_D_WALK_NO_READER
		/*
		 * Barrier D: __mmu_notifier_invalidate_range_start(),
		 * __mmu_notifier_invalidate_range_end(), mn_section_start(),
		 * mn_list_start(), mn_list_start_nonblock(), mn_list_end()
		 */
		rcu[p] = true;
#endif
		if
		:: prev == NIL ->
#ifdef BUG_A_LIST_EARLY
			if
			:: half == START -> pos = early
			:: else -> pos = head
			fi
#else
			pos = head
#endif
		:: else -> continue_walk()
		fi;
		do
		:: pos != NIL ->
			must(C3, !freed[pos]);
			if
#ifdef BUG_END_IGNORES_AGE
			:: half == END -> break
#endif
			:: due(pos) -> break
			:: else -> pos = nxt[pos]
			fi
		:: else -> break
		od;
		if
		:: pos != NIL -> count_ref(p, pos, 1)
		:: else
		fi;
		if
		:: prev != NIL ->
			must(C3, !freed[prev]);
#ifdef BUG_PUT_IGNORES_LINK
			h = true
#endif
		:: else
		fi;
#ifdef BUG_D_PUT_NO_READER
		rcu_read_unlock(p)
#endif
	}
}

/* mn_count_down() of the references on prev; end of the reader */
inline advanced(p)
{
	if
	:: prev != NIL ->
		must(C3, !freed[prev]);
		if
		:: h -> count_ref(p, prev, -1)	/* Barrier D: mn_count_down() */
		:: else -> refs_left[prev] = refs_left[prev] - 1
		fi;
		h = false
	:: else
	fi;
	rcu_read_unlock(p);
	prev = pos;
	pos = NIL
}

inline call_end(p)
{
	must(C1, open[p * 2 + prev]);
	open[p * 2 + prev] = false
}

/* Remembers the first refusal. Who accepts after it gets the end at once. */
inline call_start(p)
{
	must(C1, !heard[p * 2 + prev]);
	heard[p * 2 + prev] = true;
	if
	:: open[p * 2 + prev] = true;
		if
#ifndef BUG_NO_END_AFTER_REFUSAL
		:: refusal != 0 -> call_end(p)
#endif
		:: else
		fi
#if defined(ONE) || defined(REFUSE)
	:: p == NSEC - 1 ->
		if
		:: refusal == 0 -> refusal = age(prev)
		:: else
		fi
#endif
	fi
}

/* mn_call_start() or mn_call_end() */
inline call(p, half)
{
	must(C3, !freed[prev]);
	if
	:: half == START -> call_start(p)
#ifdef BUG_END_TO_REFUSER
	:: half == END -> call_end(p)
#else
	:: half == END && (refusal == 0 || age(prev) < refusal) -> call_end(p)
	:: half == END && !(refusal == 0 || age(prev) < refusal)
#endif
	fi
#ifdef ONE
	;
	/* Hangs until nobody else gets on: subscription 1 may, exit may not */
	if
	:: prev == 1 -> timeout;
		must(C3, nregistered < 2 || freed[0]);
		must(C4, nregistered < 2 || exited)
	:: true
	fi
#endif
}

#define walk(p, half)							\
	do								\
	:: advance(p, half);						\
	   atomic {							\
		advanced(p);						\
		if							\
		:: prev == NIL -> break					\
		:: else -> call(p, half)				\
		fi							\
	   }								\
	od;								\
	skip

inline section_enter(p)
{
#ifdef BUG_A_LIST_EARLY
	early = head;
#endif
	d_step {
		/*
		 * Barrier B: __mmu_notifier_invalidate_range_start(),
		 * mn_section_start()
		 */
		rcu[p] = true;
		e = gen;		/* Barrier A: mn_section_enter() */
#ifdef BUG_GONE_RELAXED
		if
		:: !live -> e = 254
		:: else
		fi;
#endif
#ifdef BUG_B_ENTER_NO_READER
		rcu_read_unlock(p)
#endif
	}
	d_step { count_section(p, e, 1); rcu_read_unlock(p) }
}

inline section_leave(p)
{
	d_step {
		must(C1, paired(p));
		must(C2, offered(p));
#ifndef BUG_B_LEAVE_NO_READER
		/* Barrier B: __mmu_notifier_invalidate_range_end() */
		rcu[p] = true;
#endif
#ifdef BUG_LEAVE_IGNORES_GEN
		h = true
#else
		h = (gen == e)
#endif
	}
	d_step {
		if
		:: h -> count_section(p, e, -1) /* Barrier B: mn_count_down() */
		:: else -> left = left - 1
		fi;
		rcu_read_unlock(p);
		/* For fewer states: what is not asked any more */
		heard[p * 2] = false; heard[p * 2 + 1] = false;
		open[p * 2] = false; open[p * 2 + 1] = false;
		e = 0; refusal = 0; h = false
	}
}

/*
 * h: somebody is subscribed; else in the domain, unless the mm has no users. Who
 * sees it at once does not enter the domain, but may have read the old value.
 */
inline section_look(p)
{
#ifdef BUG_USERS_LATE
	h = live;
#endif
	if
	:: live -> h = true
	:: true ->
		if
		:: mm_users ->
#ifdef BUG_C_TEST_FIRST
			h = live;
			domain[p] = true;
#else
			/* Barrier C: mmu_notifier_section_unused() */
			domain[p] = true;
			h = live;
#endif
		:: else ->
#ifndef BUG_USERS_LATE
			h = live
#endif
		fi
	fi
}

/* The callbacks that may not sleep: the whole walk is one reader */
inline young(p)
{
	if
	:: live ->
		/*
		 * Barrier D: __mmu_notifier_clear_flush_young(),
		 * __mmu_notifier_clear_young(), __mmu_notifier_test_young(),
		 * __mmu_notifier_arch_invalidate_secondary_tlbs()
		 */
#ifndef BUG_D_YOUNG_NO_READER
		rcu[p] = true;
#endif
		pos = head;
		do
		:: pos != NIL ->
			must(C3, !freed[pos]);
			pos = nxt[pos]
		:: else -> break
		od;
		atomic { rcu_read_unlock(p) }
	:: else
	fi
}

proctype section(byte p)
{
	byte e, pos = NIL, prev = NIL, refusal;
	bool h;
#ifdef BUG_A_LIST_EARLY
	byte early = NIL;
#endif

#ifdef FINE
	if
	:: young(p); goto done
	:: true
	fi;
#endif
	section_look(p);
	if
	:: h ->
		d_step { h = false; domain_leave(p) }
		section_enter(p);
		walk(p, START);
		/* Here the ptes are taken away, and the pages freed */
		walk(p, END);
		section_leave(p)
	:: else ->
		d_step {
			must(C2, offered(p));
			domain_leave(p)
		}
	fi;
done:	skip
}

/*
 * Subscribers
 */

/* mn_registry_get(); mine: for whom the subscription is entered */
inline registry_get(i)
{
#ifdef ONE
	mine = registry;
	if
	:: mine == NIL ->
		mine = i;
#ifdef BUG_GET_OVERWRITES
		registry = mine
#else
		atomic {
			if
			:: registry == NIL -> registry = mine
			:: else -> mine = registry
			fi
		}
#endif
	:: else
	fi
#else
	skip
#endif
}

inline link(i)
{
	nxt[i] = head; head = i; hashed[i] = true
}

/* mn_register(), mn_activate() */
inline register(i)
{
	registry_get(i);
	d_step {
		!mutex && !lock -> mutex = true; lock = true;
		epoch[i] = (gen + 1) & 255;
#ifdef BUG_C_LIVE_EARLY
		live = true;
#endif
#ifdef BUG_A_GEN_FIRST
		gen = epoch[i]
	}
	d_step { link(i) }
#else
		link(i)
	}
	gen = epoch[i];		/* Barrier A: mn_activate() */
#endif
	d_step {
		first = (nr == 0);
		drain = used;
#ifdef BUG_C_WAIT_ONCE
		first = first && !used;
#endif
		nr++;
		used = true;
		live = true;	/* Barrier C: mn_activate() */
#ifndef BUG_C_NO_WAIT
		if
		:: first -> gp_start(domain, domain_gp, i)
		:: else
		fi;
#endif
		first = false;
#ifdef BUG_MUTEX_EARLY
		mutex = false;
#endif
		lock = false
	}
	d_step {
		gp_over(domain_gp, i) ->	/* Barrier C: mn_activate() */
#ifndef BUG_B_NO_GP
		if
		:: drain -> rcu_gp_start(SECTIONS)
		:: else
		fi
#endif
	}
#ifndef BUG_NO_DRAIN
	if
	:: drain ->
		atomic {		/* Barrier B: mn_drain_sections() */
			gp_over(rcu_gp, SECTIONS) ->
			sum_up(SECTIONS, slots[(epoch[i] - 1) & 1], left);
			drain = false
		}
	:: else
	fi;
#endif
	d_step {
		left == 0 ->
#ifdef ONE
		must(C2, mine == registry);
		mine = 0;
#endif
		drain = false;
		bound[i] = true; nregistered++; mutex = false
	}
}

/* Does nothing if it has been done */
inline take_out(i)
{
	if
	:: head == i -> head = nxt[i]
	:: head != i && hashed[1 - i] && nxt[1 - i] == i -> nxt[1 - i] = nxt[i]
	:: else
	fi
}

/* mn_unlink(): two stores, either may be seen first */
inline unlink(i)
{
	atomic { !lock -> lock = true }
	if
	:: hashed[i] ->
		if
		:: d_step { true -> take_out(i) }
		:: hashed[i] = false
		fi;
		atomic {
			take_out(i);
			hashed[i] = false;	/* Barrier D: mn_unlink() */
			nr--;
			live = (nr != 0);
			lock = false
		}
	:: else -> lock = false
	fi
}

/* From mn_unlink() to where the memory may be freed */
inline drain_refs(i)
{
#ifndef BUG_D_NO_GP
	/* Barrier D: mmu_notifier_unregister(), mn_free_work() */
	d_step { rcu_gp_start(REFS(i)) }
#endif
	atomic {
		gp_over(rcu_gp, REFS(i)) ->
		sum_up(REFS(i), refs[i], refs_left[i])
	}
	d_step {
		refs_left[i] == 0 ->
		freed[i] = true;
		epoch[i] = 0;
		nxt[i] = NIL
	}
}

/* ->release, the state of which the caller has changed */
inline call_release(i)
{
	d_step {
		must(C3, !freed[i]);
		releases[i]++;
		must(C4, releases[i] == 1)
	}
	d_step {
		must(C3, !freed[i]);
		release_done[i] = true;
		bound[i] = false
	}
}

inline unregister(i)
{
#ifdef BUG_UNREGISTER_WAITS
	slots[0] + slots[1] + left == 0;
#endif
#ifdef BUG_UNLINK_FIRST
	unlink(i);
#endif
	d_step {
		!lock ->
		mine = !released[i];
		released[i] = true
	}
	if
	:: mine ->
		call_release(i);
		unlink(i)
	:: else ->
#ifdef BUG_UNLINK_WHILE_RELEASING
		unlink(i)
#else
		!hashed[i] && !lock
#endif
	fi;
	mine = false;
	drain_refs(i);
	d_step {
		must(C4, release_done[i]);
		releases[i] = 0;
		release_done[i] = false
	}
}

/* By a driver that has dropped all it had mapped */
inline put(i)
{
	bound[i] = false;
	unlink(i);
	drain_refs(i);
	must(C3, releases[i] == 0 || release_done[i])
}

proctype subscriber(byte i)
{
	bool first, drain;
	byte mine;

	if
	:: !hashed[i] -> register(i)
	:: hashed[i] -> nregistered++	/* the old one */
#ifdef ONE
	:: i == 1 -> registry_get(i); nregistered++; goto done /* no memory */
#endif
	fi;
	if
#if defined(FINE) || defined(REFUSE)
	:: i == 1 -> put(i)
#endif
#ifdef FULL
	:: i == 1	/* until it exits */
#endif
#if defined(FULL) || defined(REFUSE)
	:: i == 0 -> unregister(i)
#else
	:: unregister(i)
#endif
	fi;
done:	skip
}

/* __mmu_notifier_release() */
proctype exit_mmap()
{
	byte i;
	bool h;

	nregistered == 2 -> mm_users = false;
	do
	:: d_step {
		head != NIL && !lock ->
		i = head;
#ifndef BUG_EXIT_NO_REF
		refs[i]++;
#endif
		h = !released[i];
		released[i] = true
	   }
		if
		:: h ->
			call_release(i);
			unlink(i)
		:: else ->
#ifdef BUG_EXIT_NO_WAIT
			break
#else
			!hashed[i] && !lock
#endif
		fi;
#ifdef BUG_EXIT_WAITS
		refs[i] + refs_left[i] == 1;
#endif
		d_step {
#ifndef BUG_EXIT_NO_REF
			/* mn_ref_put() of what is not linked any more */
			must(C3, !freed[i] && !hashed[i]);
			refs_left[i] = refs_left[i] - 1;
#endif
			i = 0;
			h = false
		}
	:: head == NIL && !lock -> break
	od;
	skip;	/* Now the pages go */
	d_step {
		must(C4, !bound[0] && !bound[1]);
		must(C4, releases[0] == 0 || release_done[0]);
		must(C4, releases[1] == 0 || release_done[1]);
		exited = true
	}
}

init {
	atomic {
#ifdef OLD
		link(0);
		bound[0] = true; epoch[0] = (gen - 200) & 255;
		nr = 1; used = true; live = true;
#endif
		run section(0);
#if NSEC == 2
		run section(1);
#endif
		run subscriber(0);
		run subscriber(1);
#ifndef REFUSE
		run exit_mmap()
#endif
	}
}
