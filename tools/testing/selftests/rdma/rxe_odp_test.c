// SPDX-License-Identifier: GPL-2.0
/*
 * RDMA into memory that is taken away underneath.
 *
 * A queue pair that is connected to another one of the same process writes and
 * reads a buffer that is registered for on-demand paging, so that its pages are
 * not pinned. Between the requests, and while they run, pages of it are
 * replaced, swapped out, migrated or merged. The adapter must never use an old
 * page: what it writes is where the CPU reads, and what it reads is what the
 * CPU has written.
 *
 * Needs an rxe device, "rdma link add rxe0 type rxe netdev lo", two NUMA nodes,
 * swap and KSM.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "kselftest_harness.h"

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define PAGE		4096ul
#define PAGES		64
#define SIZE		(PAGES * PAGE)
#define WORDS		(PAGE / sizeof(uint64_t))
#define ROUNDS		200
#define STORM_SECONDS	5

#define ACCESS		(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | \
			 IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC)

/*
 * The adapter
 */

struct adapter {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qps[2];
	int gid_index;
	union ibv_gid gid;
	enum ibv_mtu mtu;
};

static bool adapter_open(struct adapter *a)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	int i;

	for (i = 0; list && list[i] && !a->context; i++) {
		if (!strncmp(ibv_get_device_name(list[i]), "rxe", 3))
			a->context = ibv_open_device(list[i]);
	}
	if (list)
		ibv_free_device_list(list);
	return a->context;
}

static bool adapter_pages_on_demand(struct adapter *a)
{
	const unsigned int ops = IBV_ODP_SUPPORT_WRITE | IBV_ODP_SUPPORT_READ |
				 IBV_ODP_SUPPORT_ATOMIC;
	struct ibv_device_attr_ex attr;

	if (ibv_query_device_ex(a->context, NULL, &attr))
		return false;
	return (attr.odp_caps.general_caps & IBV_ODP_SUPPORT) &&
	       (attr.odp_caps.per_transport_caps.rc_odp_caps & ops) == ops;
}

/* Any address of the device will do: all requests stay within the process. */
static bool adapter_find_gid(struct adapter *a)
{
	static const union ibv_gid none;
	struct ibv_port_attr port;

	if (ibv_query_port(a->context, 1, &port))
		return false;
	a->mtu = port.active_mtu;
	for (a->gid_index = port.gid_tbl_len - 1; a->gid_index >= 0;
	     a->gid_index--) {
		if (!ibv_query_gid(a->context, 1, a->gid_index, &a->gid) &&
		    memcmp(&a->gid, &none, sizeof(none)))
			return true;
	}
	return false;
}

static struct ibv_qp *adapter_new_qp(struct adapter *a)
{
	struct ibv_qp_init_attr init = {
		.send_cq = a->cq,
		.recv_cq = a->cq,
		.cap = {
			.max_send_wr = 16,
			.max_recv_wr = 1,
			.max_send_sge = 1,
			.max_recv_sge = 1,
		},
		.qp_type = IBV_QPT_RC,
	};

	return ibv_create_qp(a->pd, &init);
}

static int adapter_connect(struct adapter *a, struct ibv_qp *qp,
			   struct ibv_qp *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ACCESS,
	};

	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX |
			  IBV_QP_PORT | IBV_QP_ACCESS_FLAGS))
		return -1;

	attr = (struct ibv_qp_attr) {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = a->mtu,
		.dest_qp_num = peer->qp_num,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {
			.is_global = 1,
			.port_num = 1,
			.grh = {
				.dgid = a->gid,
				.sgid_index = a->gid_index,
				.hop_limit = 1,
			},
		},
	};
	if (ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_AV |
			  IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER))
		return -1;

	attr = (struct ibv_qp_attr) {
		.qp_state = IBV_QPS_RTS,
		.timeout = 18,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.max_rd_atomic = 1,
	};
	return ibv_modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_TIMEOUT |
			     IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			     IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static bool adapter_init(struct adapter *a)
{
	a->pd = ibv_alloc_pd(a->context);
	a->cq = ibv_create_cq(a->context, 16, NULL, NULL, 0);
	if (!a->pd || !a->cq || !adapter_find_gid(a))
		return false;
	a->qps[0] = adapter_new_qp(a);
	a->qps[1] = adapter_new_qp(a);
	return a->qps[0] && a->qps[1] &&
	       !adapter_connect(a, a->qps[0], a->qps[1]) &&
	       !adapter_connect(a, a->qps[1], a->qps[0]);
}

static void adapter_exit(struct adapter *a)
{
	ibv_destroy_qp(a->qps[0]);
	ibv_destroy_qp(a->qps[1]);
	ibv_destroy_cq(a->cq);
	ibv_dealloc_pd(a->pd);
	ibv_close_device(a->context);
}

/* One end of a request */
struct place {
	struct ibv_mr *mr;
	void *addr;
};

/* Perform one request. Returns an enum ibv_wc_status */
static int adapter_do(struct adapter *a, enum ibv_wr_opcode opcode,
		      struct place local, struct place remote, size_t len)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)local.addr,
		.length = len,
		.lkey = local.mr->lkey,
	};
	struct ibv_send_wr *bad, wr = {
		.sg_list = &sge,
		.num_sge = 1,
		.opcode = opcode,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma = {
			.remote_addr = (uintptr_t)remote.addr,
			.rkey = remote.mr->rkey,
		},
	};
	struct ibv_wc wc = {};
	int nr;

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD) {
		wr.wr.atomic.remote_addr = (uintptr_t)remote.addr;
		wr.wr.atomic.rkey = remote.mr->rkey;
		wr.wr.atomic.compare_add = 1;
	}
	if (ibv_post_send(a->qps[0], &wr, &bad))
		return -1;
	do {
		nr = ibv_poll_cq(a->cq, 1, &wc);
	} while (!nr);
	return nr < 0 ? -1 : (int)wc.status;
}

/*
 * The buffers
 */

static void fill(void *page, uint64_t stamp)
{
	uint64_t *words = page;
	unsigned int i;

	for (i = 0; i < WORDS; i++)
		words[i] = stamp * 0x9e3779b97f4a7c15ull + i;
}

static bool holds(const void *page, uint64_t stamp)
{
	const uint64_t *words = page;
	unsigned int i;

	for (i = 0; i < WORDS; i++) {
		if (words[i] != stamp * 0x9e3779b97f4a7c15ull + i)
			return false;
	}
	return true;
}

static void *map_pages(void)
{
	return mmap(NULL, SIZE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/*
 * What can happen to a page
 */

static bool by_discard(void *page)
{
	return !madvise(page, PAGE, MADV_DONTNEED);
}

static bool by_munmap(void *page)
{
	return !munmap(page, PAGE) &&
	       mmap(page, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		    0) == page;
}

static bool by_mmap(void *page)
{
	return mmap(page, PAGE, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == page;
}

static bool by_mremap(void *page)
{
	void *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(other, 0xa5, PAGE);
	return mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		      page) == page;
}

/* The child keeps the old page, and the parent gets a copy when it writes. */
static bool by_fork(void *page)
{
	pid_t child = fork();

	if (!child) {
		pause();
		_exit(0);
	}
	if (child < 0)
		return false;
	memset(page, 0x5a, PAGE);
	kill(child, SIGKILL);
	return waitpid(child, NULL, 0) == child;
}

static uint64_t page_entry(const void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), (uintptr_t)page / PAGE *
		  sizeof(entry)) != sizeof(entry))
		entry = 0;
	close(fd);
	return entry;
}

static bool swapped(const void *page)
{
	return page_entry(page) >> 62 & 1;
}

/* Zero also if there is none, or if we may not see it */
static uint64_t frame(const void *page)
{
	uint64_t entry = page_entry(page);

	return entry >> 63 ? entry & ((1ull << 55) - 1) : 0;
}

static int node_of(void *page)
{
	int node = -1;

	syscall(SYS_move_pages, 0, 1ul, &page, NULL, &node, 0);
	return node;
}

static bool move_to(void *page, int node)
{
	int status = -1;

	syscall(SYS_move_pages, 0, 1ul, &page, &node, &status, 2);
	return status == node;
}

/* Also what is not mapped may still be there, in the swap cache. */
static bool in_memory(void *page)
{
	unsigned char state = 1;

	return mincore(page, PAGE, &state) || state & 1;
}

/*
 * A page that another CPU has just faulted in waits there for its place on the
 * LRU list, and is not to be reclaimed. To ask for a migration ends the wait.
 *
 * When it has been written out it is in the swap cache, to be mapped again. Then
 * it is clean, and reclaim frees it.
 */
static bool by_swap(void *page)
{
	int tries;

	for (tries = 0; tries < 100; tries++) {
		move_to(page, node_of(page));
		if (!madvise(page, PAGE, MADV_PAGEOUT) && swapped(page) &&
		    !in_memory(page))
			return true;
		usleep(1000);
		madvise(page, PAGE, MADV_POPULATE_READ);
	}
	return false;
}

static bool by_migration(void *page)
{
	int tries, node = !node_of(page);

	for (tries = 0; tries < 100; tries++) {
		if (move_to(page, node) && node_of(page) == node)
			return true;
		usleep(1000);
	}
	return false;
}

static bool knob(const char *name, int value)
{
	char path[64], text[16];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/mm/ksm/%s", name);
	snprintf(text, sizeof(text), "%d", value);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) > 0;
	close(fd);
	return done;
}

/* Merge it with a copy, which is not to change when the adapter writes. */
static void *merge_with;

static bool advise_both(void *page, int advice)
{
	return !madvise(page, PAGE, advice) &&
	       !madvise(merge_with, PAGE, advice);
}

static bool by_merging(void *page)
{
	int tries;

	/* Have what KSM knows of an earlier round forgotten. */
	if (!advise_both(page, MADV_UNMERGEABLE))
		return false;
	memcpy(merge_with, page, PAGE);
	if (!advise_both(page, MADV_MERGEABLE))
		return false;
	for (tries = 0; tries < 1000; tries++) {
		if (frame(page) && frame(page) == frame(merge_with))
			return true;
		usleep(10000);
	}
	return false;
}

/*
 * The tests
 */

FIXTURE(odp) {
	struct adapter adapter;
	/* A buffer for on-demand paging, and one that is pinned */
	struct place odp;
	struct place pinned;
};

FIXTURE_VARIANT(odp) {
	const char *name;
	bool (*happen)(void *page);
	/* The page has its content afterwards */
	bool keeps;
	int rounds;
};

FIXTURE_VARIANT_ADD(odp, discard) {
	.name = "discard",
	.happen = by_discard,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, munmap) {
	.name = "munmap",
	.happen = by_munmap,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, mmap) {
	.name = "mmap",
	.happen = by_mmap,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, mremap) {
	.name = "mremap",
	.happen = by_mremap,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, fork) {
	.name = "fork",
	.happen = by_fork,
	.rounds = ROUNDS / 4,
};

FIXTURE_VARIANT_ADD(odp, swap) {
	.name = "swap",
	.happen = by_swap,
	.keeps = true,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, migration) {
	.name = "migration",
	.happen = by_migration,
	.keeps = true,
	.rounds = ROUNDS,
};

FIXTURE_VARIANT_ADD(odp, merging) {
	.name = "merging",
	.happen = by_merging,
	.keeps = true,
	.rounds = 5,
};

static void setup(struct __test_metadata *_metadata, struct adapter *a,
		  struct place *odp, struct place *pinned)
{
	if (!adapter_open(a))
		SKIP(return, "no rxe device");
	ASSERT_TRUE(adapter_pages_on_demand(a));
	ASSERT_TRUE(adapter_init(a)) {
		TH_LOG("the adapter is not set up: %s", strerror(errno));
	}
	odp->addr = map_pages();
	pinned->addr = map_pages();
	ASSERT_NE(MAP_FAILED, odp->addr);
	ASSERT_NE(MAP_FAILED, pinned->addr);
	madvise(odp->addr, SIZE, MADV_NOHUGEPAGE);
	/* Children are not to have the pinned pages copied. */
	madvise(pinned->addr, SIZE, MADV_DONTFORK);
	odp->mr = ibv_reg_mr(a->pd, odp->addr, SIZE,
			     ACCESS | IBV_ACCESS_ON_DEMAND);
	ASSERT_NE(NULL, odp->mr) {
		TH_LOG("ibv_reg_mr on demand: %s", strerror(errno));
	}
	pinned->mr = ibv_reg_mr(a->pd, pinned->addr, SIZE, ACCESS);
	ASSERT_NE(NULL, pinned->mr);
}

static void teardown(struct adapter *a, struct place *odp,
		     struct place *pinned)
{
	if (!a->context)
		return;
	ibv_dereg_mr(odp->mr);
	ibv_dereg_mr(pinned->mr);
	munmap(odp->addr, SIZE);
	munmap(pinned->addr, SIZE);
	adapter_exit(a);
}

FIXTURE_SETUP(odp)
{
	setup(_metadata, &self->adapter, &self->odp, &self->pinned);
	merge_with = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, merge_with);
	if (variant->happen == by_merging) {
		ASSERT_TRUE(knob("sleep_millisecs", 1));
		ASSERT_TRUE(knob("pages_to_scan", 1000));
		/* Else it leaves out what it could not merge before. */
		knob("smart_scan", 0);
		ASSERT_TRUE(knob("run", 1));
	}
}

FIXTURE_TEARDOWN(odp)
{
	teardown(&self->adapter, &self->odp, &self->pinned);
	munmap(merge_with, PAGE);
	if (variant->happen == by_merging)
		knob("run", 2);
}

static struct place at(struct place first, unsigned int page)
{
	first.addr += page * PAGE;
	return first;
}

/*
 * Have the adapter write a page of the buffer: as the remote end of RDMA WRITE,
 * or as the local end of RDMA READ.
 */
static int adapter_write(struct adapter *a, int end, struct place odp,
			 struct place pinned)
{
	if (end)
		return adapter_do(a, IBV_WR_RDMA_READ, odp, pinned, PAGE);
	return adapter_do(a, IBV_WR_RDMA_WRITE, pinned, odp, PAGE);
}

static int adapter_read(struct adapter *a, int end, struct place odp,
			struct place pinned)
{
	if (end)
		return adapter_do(a, IBV_WR_RDMA_WRITE, odp, pinned, PAGE);
	return adapter_do(a, IBV_WR_RDMA_READ, pinned, odp, PAGE);
}

TEST_F(odp, adapter_writes_into_new_page)
{
	unsigned int round;
	uint64_t stamp = 1;

	for (round = 0; round < variant->rounds; round++) {
		struct place odp = at(self->odp, rand() % PAGES);
		struct place pinned = at(self->pinned, rand() % PAGES);
		int end = round % 2;

		fill(pinned.addr, ++stamp);
		ASSERT_EQ(0, adapter_write(&self->adapter, end, odp, pinned));
		ASSERT_TRUE(holds(odp.addr, stamp));

		ASSERT_TRUE(variant->happen(odp.addr)) {
			TH_LOG("%s did not happen in round %u", variant->name,
			       round);
		}

		fill(pinned.addr, ++stamp);
		ASSERT_EQ(0, adapter_write(&self->adapter, end, odp, pinned));
		ASSERT_TRUE(holds(odp.addr, stamp)) {
			TH_LOG("round %u: the adapter wrote into an old page",
			       round);
		}
		if (variant->happen == by_merging) {
			ASSERT_TRUE(holds(merge_with, stamp - 1)) {
				TH_LOG("the adapter wrote into a merged page");
			}
		}
	}
}

TEST_F(odp, adapter_reads_from_new_page)
{
	unsigned int round;
	uint64_t stamp = 1;

	for (round = 0; round < variant->rounds; round++) {
		struct place odp = at(self->odp, rand() % PAGES);
		struct place pinned = at(self->pinned, rand() % PAGES);
		int end = round % 2;

		fill(odp.addr, ++stamp);
		ASSERT_EQ(0, adapter_read(&self->adapter, end, odp, pinned));
		ASSERT_TRUE(holds(pinned.addr, stamp));

		ASSERT_TRUE(variant->happen(odp.addr)) {
			TH_LOG("%s did not happen in round %u", variant->name,
			       round);
		}

		if (!variant->keeps)
			fill(odp.addr, ++stamp);
		memset(pinned.addr, 0, PAGE);
		ASSERT_EQ(0, adapter_read(&self->adapter, end, odp, pinned));
		ASSERT_TRUE(holds(pinned.addr, stamp)) {
			TH_LOG("round %u: the adapter read an old page", round);
		}
	}
}

/* An atomic operation faults with the length of one byte only. */
TEST_F(odp, adapter_adds_in_new_page)
{
	unsigned int round;

	for (round = 0; round < variant->rounds; round++) {
		struct place odp = at(self->odp, rand() % PAGES);
		uint64_t *word = odp.addr;

		*word = round;
		ASSERT_EQ(0, adapter_do(&self->adapter,
					IBV_WR_ATOMIC_FETCH_AND_ADD,
					self->pinned, odp, 8));
		ASSERT_EQ(round + 1, *word);
		ASSERT_TRUE(variant->happen(odp.addr));
		if (!variant->keeps)
			*word = round + 1;
		ASSERT_EQ(0, adapter_do(&self->adapter,
					IBV_WR_ATOMIC_FETCH_AND_ADD,
					self->pinned, odp, 8));
		ASSERT_EQ(round + 2, *word);
	}
}

/*
 * While requests run
 */

struct storm {
	struct place odp;
	pthread_t thread;
	pthread_mutex_t lock;
	bool over;
	unsigned long swaps;
	unsigned long migrations;
	unsigned long discards;
	unsigned long moves;
};

FIXTURE(storm) {
	struct adapter adapter;
	struct place odp;
	struct place pinned;
	struct storm storm;
};

FIXTURE_SETUP(storm)
{
	setup(_metadata, &self->adapter, &self->odp, &self->pinned);
	self->storm.odp = self->odp;
	pthread_mutex_init(&self->storm.lock, NULL);
}

FIXTURE_TEARDOWN(storm)
{
	teardown(&self->adapter, &self->odp, &self->pinned);
}

/* Whatever leaves the content as it is */
static void *disturb(void *arg)
{
	struct storm *storm = arg;
	unsigned int seed = 1;

	while (!__atomic_load_n(&storm->over, __ATOMIC_RELAXED)) {
		void *page = at(storm->odp, rand_r(&seed) % PAGES).addr;

		if (rand_r(&seed) % 2) {
			storm->migrations += move_to(page, !node_of(page));
		} else {
			madvise(page, PAGE, MADV_PAGEOUT);
			storm->swaps += swapped(page);
		}
		usleep(100);
	}
	return NULL;
}

/* Whatever takes the content away */
static void *discard(void *arg)
{
	struct storm *storm = arg;
	unsigned int seed = 2;

	while (!__atomic_load_n(&storm->over, __ATOMIC_RELAXED)) {
		void *page = at(storm->odp, rand_r(&seed) % PAGES).addr;

		pthread_mutex_lock(&storm->lock);
		if (rand_r(&seed) % 2)
			storm->moves += by_mremap(page);
		else
			storm->discards += by_discard(page);
		pthread_mutex_unlock(&storm->lock);
		usleep(50);
	}
	return NULL;
}

static bool time_is_left(time_t start)
{
	return time(NULL) < start + STORM_SECONDS;
}

static void start_storm(struct __test_metadata *_metadata,
			struct storm *storm, void *(*thread)(void *))
{
	ASSERT_EQ(0, pthread_create(&storm->thread, NULL, thread, storm));
}

static void end_storm(struct __test_metadata *_metadata,
		      struct storm *storm, unsigned long rounds)
{
	__atomic_store_n(&storm->over, true, __ATOMIC_RELAXED);
	pthread_join(storm->thread, NULL);
	TH_LOG("%lu rounds, pages: %lu swapped, %lu migrated, %lu discarded, %lu replaced",
	       rounds, storm->swaps, storm->migrations, storm->discards,
	       storm->moves);
	ASSERT_LT(0, rounds);
	ASSERT_LT(0, storm->swaps + storm->discards);
	ASSERT_LT(0, storm->migrations + storm->moves);
}

/* What the CPU writes, the adapter reads much later. */
TEST_F(storm, adapter_reads_what_was_swapped_and_migrated)
{
	uint64_t stamps[PAGES] = {}, stamp = 0;
	time_t start = time(NULL);
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		fill(at(self->odp, i).addr, 0);
	start_storm(_metadata, &self->storm, disturb);
	while (time_is_left(start)) {
		struct place odp = at(self->odp, i = rand() % PAGES);

		ASSERT_EQ(0, adapter_read(&self->adapter, rand() % 2, odp,
					  self->pinned));
		ASSERT_TRUE(holds(self->pinned.addr, stamps[i])) {
			TH_LOG("page %u is not as written in round %lu", i,
			       stamps[i]);
		}
		fill(odp.addr, stamps[i] = ++stamp);
	}
	end_storm(_metadata, &self->storm, stamp);
}

/* What the adapter writes stays. */
TEST_F(storm, adapter_writes_what_is_swapped_and_migrated)
{
	uint64_t stamps[PAGES] = {}, stamp = 0;
	time_t start = time(NULL);
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		fill(at(self->odp, i).addr, 0);
	start_storm(_metadata, &self->storm, disturb);
	while (time_is_left(start)) {
		struct place odp = at(self->odp, i = rand() % PAGES);

		/* A read access brings it back, and a write may follow. */
		ASSERT_TRUE(holds(odp.addr, stamps[i])) {
			TH_LOG("page %u has lost what was written in round %lu",
			       i, stamps[i]);
		}
		fill(self->pinned.addr, stamps[i] = ++stamp);
		ASSERT_EQ(0, adapter_write(&self->adapter, rand() % 2, odp,
					   self->pinned));
	}
	end_storm(_metadata, &self->storm, stamp);
}

/* Where the adapter starts need not be the start of a page. */
static void copy_at(struct __test_metadata *_metadata, struct adapter *a,
		    struct place odp, struct place pinned, size_t offset)
{
	uint64_t *first = odp.addr;

	*first = 42;
	odp.addr += offset;
	fill(pinned.addr, 1);
	ASSERT_EQ(0, adapter_write(a, 0, odp, pinned));
	ASSERT_TRUE(holds(odp.addr, 1)) {
		TH_LOG("the adapter wrote to another place");
	}
	ASSERT_EQ(42, *first);

	fill(odp.addr, 2);
	ASSERT_EQ(0, adapter_read(a, 0, odp, pinned));
	ASSERT_TRUE(holds(pinned.addr, 2)) {
		TH_LOG("the adapter read from another place");
	}
}

TEST_F(storm, adapter_copies_across_two_pages)
{
	copy_at(_metadata, &self->adapter, self->odp, self->pinned, PAGE / 2);
}

/* The packets are smaller than a page and do not cross one. */
TEST_F(storm, adapter_copies_within_a_page)
{
	struct place odp = self->odp, pinned = self->pinned;
	size_t part = PAGE / 4;
	unsigned int i;

	fill(pinned.addr, 1);
	for (i = 0; i < 4; i++) {
		ASSERT_EQ(0, adapter_do(&self->adapter, IBV_WR_RDMA_WRITE,
					pinned, odp, part));
		pinned.addr += part;
		odp.addr += part;
	}
	ASSERT_TRUE(holds(self->odp.addr, 1));
}

TEST_F(storm, no_old_page_after_discards)
{
	time_t start = time(NULL);
	uint64_t stamp = 0;
	unsigned int i;

	start_storm(_metadata, &self->storm, discard);
	while (time_is_left(start)) {
		struct place odp = at(self->odp, rand() % PAGES);
		int end = rand() % 2;

		/* Pages go while the adapter takes them. */
		for (i = 0; i < 8; i++) {
			ASSERT_EQ(0, adapter_write(&self->adapter, end,
						   at(self->odp,
						      rand() % PAGES),
						   self->pinned));
		}
		/* What it has taken must be the page that is there. */
		pthread_mutex_lock(&self->storm.lock);
		fill(self->pinned.addr, ++stamp);
		ASSERT_EQ(0, adapter_write(&self->adapter, end, odp,
					   self->pinned));
		ASSERT_TRUE(holds(odp.addr, stamp)) {
			TH_LOG("the adapter wrote into an old page");
		}
		fill(odp.addr, ++stamp);
		ASSERT_EQ(0, adapter_read(&self->adapter, end, odp,
					  self->pinned));
		ASSERT_TRUE(holds(self->pinned.addr, stamp)) {
			TH_LOG("the adapter read an old page");
		}
		pthread_mutex_unlock(&self->storm.lock);
	}
	end_storm(_metadata, &self->storm, stamp / 2);
}

/*
 * The tests above would tell an old page from a new one: an adapter that pins
 * its pages does keep the old one.
 */
TEST_F(storm, pinned_page_stays)
{
	uint64_t stamp = 1;

	fill(self->pinned.addr, stamp);
	ASSERT_TRUE(by_discard(self->pinned.addr));
	fill(self->pinned.addr, stamp + 1);
	ASSERT_EQ(0, adapter_read(&self->adapter, 0, self->pinned,
				  at(self->odp, 0)));
	ASSERT_TRUE(holds(self->odp.addr, stamp));
}

TEST_HARNESS_MAIN
