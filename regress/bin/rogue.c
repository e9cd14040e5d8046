/*
 * A worker that is not one: put in the place of headscaled-worker, it attacks
 * the real daemons with the table of regress/lib/attacks.c.
 *
 * Slot 1 plays an honest worker with one client, the victim, and watches over
 * it.  Slot 2 makes attacks in the table's order until one costs its life.
 * All other slots are headscaled-worker.real from the same folder.  Files
 * there:
 *
 *	rogue.key	a reusable auth key
 *	rogue.once	a single-use auth key, for the victim
 *	rogue.all	if it exists: every attack, not one of each kind
 *	rogue.loot	what slot 1 tells slot 2
 *	rogue.next	the number of the next attack
 *	rogue.log	"begin NAME" of one that should cost a life, "spared
 *			NAME" if it did not; "ok NAME", "FAIL NAME: why"; at
 *			the end "done"
 */

#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "regress/lib/rogue.h"

#define CFG_FD		3
#define VICTIM		1
#define ATTACKER	2
#define QUIET_MS	60
#define PATIENCE_MS	6000
#define DEATH_MS	8000

struct sock {
	int		 fd;		/* -1: closed, or not there yet */
	struct imsgbuf	 buf;
	unsigned int	 open;		/* requests not answered */
};

static struct sock	 sock[LINK_MAX];
static struct rogue	 rogue;
static char		 dir[PATH_MAX];
static bool		 started;	/* CFG_START came */
static unsigned int	 relinked;	/* keyd or dbd was another one */

static const char *
in_dir(const char *name)
{
	static char path[2][PATH_MAX + 64];
	static unsigned int turn;

	turn ^= 1;
	(void)snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

static void
note(const char *verdict, const char *what, const char *why)
{
	char line[512];
	int fd, n;

	n = snprintf(line, sizeof(line), "%s %s%s%s\n", verdict, what,
	    why == NULL ? "" : ": ", why == NULL ? "" : why);
	fd = open(in_dir("rogue.log"), O_WRONLY | O_APPEND | O_CREAT, 0644);
	if (fd == -1 || write(fd, line, (size_t)n) != n)
		_exit(3);
	(void)close(fd);
}

/* The first line of a file, without its end; false if there is none. */
static bool
line_now(const char *name, char *to, size_t n)
{
	FILE *f;
	bool ok;

	if ((f = fopen(in_dir(name), "r")) == NULL)
		return false;
	ok = fgets(to, (int)n, f) != NULL;
	(void)fclose(f);
	if (ok)
		to[strcspn(to, "\n")] = '\0';
	return ok;
}

/* Links. */

static void
sock_open(enum msg_link link, int fd)
{
	struct sock *s = &sock[link];

	if (imsgbuf_init(&s->buf, fd) == -1)
		_exit(4);
	imsgbuf_allow_fdpass(&s->buf);
	(void)imsgbuf_set_maxsize(&s->buf, MSG_MAX);
	s->fd = fd;
	s->open = 0;
}

static void
sock_close(enum msg_link link)
{
	struct sock *s = &sock[link];

	if (s->fd == -1)
		return;
	imsgbuf_clear(&s->buf);
	(void)close(s->fd);
	s->fd = -1;
}

/* All at once at the next wait: nothing can be answered meanwhile. */
static void
out(enum msg_link link, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd, void *arg)
{
	struct sock *s = &sock[link];

	(void)arg;
	if (s->fd == -1) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	if (type < M_MAX && type != M_NONE &&
	    msg_class(type) == MSG_REQUEST)
		s->open++;
	if (imsg_compose(&s->buf, type, id, 0, fd, p, n) == -1)
		_exit(5);
}

static void
flush(void)
{
	enum msg_link l;

	/* A socket that is shut still holds what the other end said. */
	for (l = LINK_NONE + 1; l < LINK_MAX; l++)
		if (sock[l].fd != -1 && imsgbuf_queuelen(&sock[l].buf) > 0)
			(void)imsgbuf_flush(&sock[l].buf);
}

static void
random_octets(void *p, size_t n, void *arg)
{
	(void)arg;
	arc4random_buf(p, n);
}

static void
answer_stage(uint32_t id, const void *p, size_t n)
{
	static bool ready;
	struct msg m, a;

	if (msg_decode(&m, M_CFG_STAGE, p, n) == -1)
		return;
	msg_init(&a, M_CFG_STAGED);
	a.id = id;
	a.u.cfg_staged.epoch = m.u.cfg_stage.epoch;
	a.u.cfg_staged.ok = true;
	(void)rogue_send(&rogue, LINK_CFG, &a);
	if (ready)
		return;
	ready = true;
	msg_init(&a, M_CFG_READY);
	(void)rogue_send(&rogue, LINK_CFG, &a);
}

static void
answer_alive(uint32_t id, const void *p, size_t n)
{
	struct msg m, a;

	if (msg_decode(&m, M_CFG_ALIVE_ASK, p, n) == -1)
		return;
	msg_init(&a, M_CFG_ALIVE_OK);
	a.id = id;
	a.u.cfg_alive_ok.number = m.u.cfg_alive_ask.number;
	(void)rogue_send(&rogue, LINK_CFG, &a);
}

/* What a worker does that wants to look like one. */
static void
on_cfg(uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct msg m;

	switch (type) {
	case M_CFG_LINK:
		if (msg_decode(&m, type, p, n) == -1 || fd == -1)
			return;
		if (m.u.cfg_link.link != LINK_KEY &&
		    m.u.cfg_link.link != LINK_DB)
			break;
		if (started)
			relinked++;
		sock_close(m.u.cfg_link.link);
		sock_open(m.u.cfg_link.link, fd);
		return;
	case M_CFG_STAGE:
		answer_stage(id, p, n);
		break;
	case M_CFG_ALIVE_ASK:
		answer_alive(id, p, n);
		break;
	case M_CFG_START:
		started = true;
		break;
	case M_CFG_STOP:
		exit(0);
	default:
		break;
	}
	if (fd != -1)
		(void)close(fd);
}

static void
take(enum msg_link link)
{
	struct sock *s = &sock[link];
	struct imsg m;
	struct ibuf b;
	uint32_t type, id;
	int fd;

	while (s->fd != -1 && imsgbuf_get(&s->buf, &m) == 1) {
		type = imsg_get_type(&m);
		id = imsg_get_id(&m);
		fd = imsg_get_fd(&m);
		memset(&b, 0, sizeof(b));
		(void)imsg_get_ibuf(&m, &b);
		if (type < M_MAX && type != M_NONE &&
		    msg_class(type) == MSG_REPLY && s->open > 0)
			s->open--;
		if (link == LINK_CFG) {
			on_cfg(type, id, b.p, b.n, fd);
			fd = -1;
		}
		rogue_input(&rogue, link, type, id, b.p, b.n, fd);
		imsg_free(&m);
	}
}

/* True if anything happened within so many milliseconds. */
static bool
turn(int ms)
{
	struct pollfd pfd[LINK_MAX];
	enum msg_link link[LINK_MAX], l;
	nfds_t i, n = 0;

	flush();
	for (l = LINK_NONE + 1; l < LINK_MAX; l++) {
		if (sock[l].fd == -1)
			continue;
		pfd[n].fd = sock[l].fd;
		pfd[n].events = POLLIN;
		link[n++] = l;
	}
	if (poll(pfd, n, ms) < 1)
		return false;
	for (i = 0; i < n; i++) {
		if (pfd[i].revents == 0)
			continue;
		if (imsgbuf_read(&sock[link[i]].buf) == 1)
			take(link[i]);
		else if (link[i] == LINK_CFG)
			exit(0);		/* master is gone */
		else
			sock_close(link[i]);
	}
	return true;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool
owed(void)
{
	enum msg_link l;

	for (l = LINK_NONE + 1; l < LINK_MAX; l++)
		if (sock[l].fd != -1 && sock[l].open > 0)
			return true;
	return false;
}

/* Until all is answered, and then until it is quiet. */
static void
wait_quiet(void *arg)
{
	int64_t end = now_ms() + PATIENCE_MS;

	(void)arg;
	while (owed() && now_ms() < end)
		(void)turn(100);
	while (turn(QUIET_MS) && now_ms() < end)
		;
}

static void
idle(int64_t ms)
{
	int64_t end = now_ms() + ms;

	while (now_ms() < end)
		(void)turn((int)(end - now_ms()));
}

/* Beginning. */

static void
line_of(const char *name, char *to, size_t n)
{
	int i;

	for (i = 0; i < 600; i++) {
		if (line_now(name, to, n) && to[0] != '\0')
			return;
		idle(100);
	}
	note("FAIL", name, "it does not come");
	exit(1);
}

static bool
has_links(void)
{
	return started && sock[LINK_KEY].fd != -1 && sock[LINK_DB].fd != -1 &&
	    rogue_count(&rogue, M_KEY_SERVER) > 0;
}

/* The slot of CFG_BOOT, which stays in the socket. */
static uint16_t
peek_boot(uint64_t *generation)
{
	uint8_t b[1024];
	struct imsg_hdr h;
	struct msg m;
	ssize_t n;
	int i;

	for (i = 0; i < 500; i++) {
		n = recv(CFG_FD, b, sizeof(b), MSG_PEEK | MSG_DONTWAIT);
		/* Its length stands in the header. */
		if (n > (ssize_t)sizeof(h)) {
			memcpy(&h, b, sizeof(h));
			if (h.type == M_CFG_BOOT && h.len <= (size_t)n &&
			    msg_decode(&m, M_CFG_BOOT, b + sizeof(h),
			    h.len - sizeof(h)) == 0)
				break;
		}
		(void)usleep(10000);
	}
	if (i == 500)
		_exit(6);
	*generation = m.u.cfg_boot.generation;
	return m.u.cfg_boot.slot;
}

static void __attribute__((__noreturn__))
be_real(void)
{
	char room[201];

	memset(room, ' ', sizeof(room) - 1);
	room[sizeof(room) - 1] = '\0';
	(void)execl(in_dir("headscaled-worker.real"), "headscaled-worker",
	    room, (char *)NULL);
	_exit(8);
}

static void
find_dir(void)
{
	ssize_t n;

	n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	if (n == -1) {
		(void)strlcpy(dir, ".", sizeof(dir));
		return;
	}
	dir[n] = '\0';
	*strrchr(dir, '/') = '\0';
}

/* The victim and its worker. */

static void
loot_write(void)
{
	struct rogue_loot l;
	int fd;

	rogue_loot(&rogue, &l);
	fd = open(in_dir("rogue.loot.new"), O_WRONLY | O_CREAT | O_TRUNC,
	    0600);
	if (fd == -1 || write(fd, &l, sizeof(l)) != (ssize_t)sizeof(l))
		_exit(3);
	(void)close(fd);
	if (rename(in_dir("rogue.loot.new"), in_dir("rogue.loot")) == -1)
		_exit(3);
}

static const char *
victim_harmed(unsigned int round)
{
	struct r_ticket ticket = rogue.ticket;
	bool ok;

	if (sock[LINK_KEY].fd == -1 || sock[LINK_DB].fd == -1)
		return "its worker lost a link";
	if (relinked != 0)
		return "keyd or dbd was started again";
	if (rogue_count(&rogue, M_DB_STREAM_END) != 0)
		return "its stream was ended";
	/* Another client, of another machine, comes and is let in. */
	ok = rogue_shake(&rogue);
	rogue.ticket = ticket;
	if (!ok)
		return rogue.why;
	/* An update now and then: they have a budget. */
	if (round % 12 == 11 && !rogue_lite(&rogue, (uint8_t)round))
		return rogue.why;
	return NULL;
}

static void __attribute__((__noreturn__))
be_victim(void)
{
	char key[128];
	const char *why;
	unsigned int round;

	line_of("rogue.once", key, sizeof(key));
	if (!rogue_join(&rogue, key)) {
		note("FAIL", "victim cannot join", rogue.why);
		idle(3600 * 1000);
		exit(1);
	}
	loot_write();
	for (round = 0;; round++) {
		idle(1000);
		why = victim_harmed(round);
		if (why != NULL) {
			note("FAIL", "the victim was harmed", why);
			idle(3600 * 1000);
			exit(1);
		}
	}
}

/* The attacker. */

static bool
loot_read(void)
{
	ssize_t n = -1;
	int fd, i;

	for (i = 0; i < 300 && n == -1; i++) {
		fd = open(in_dir("rogue.loot"), O_RDONLY);
		if (fd != -1) {
			n = read(fd, &rogue.loot, sizeof(rogue.loot));
			(void)close(fd);
		} else
			idle(100);
	}
	return n == (ssize_t)sizeof(rogue.loot);
}

/* The ticket of the life before, and ours for the next. */
static void
old_ticket(bool write_it)
{
	int fd;

	fd = open(in_dir("rogue.old"), write_it ? O_WRONLY | O_CREAT |
	    O_TRUNC : O_RDONLY, 0600);
	if (fd == -1)
		return;
	if (write_it)
		(void)!write(fd, &rogue.ticket, sizeof(rogue.ticket));
	else
		(void)!read(fd, &rogue.old_ticket, sizeof(rogue.old_ticket));
	(void)close(fd);
}

/* Two of a kind: the same words before the colon. */
static bool
same_kind(const char *a, const char *b)
{
	size_t n = strcspn(a, ":");

	return a[n] == ':' && strncmp(a, b, n + 1) == 0;
}

static void
next_write(unsigned long k)
{
	FILE *f;

	if ((f = fopen(in_dir("rogue.next"), "w")) == NULL)
		_exit(3);
	(void)fprintf(f, "%lu\n", k);
	(void)fclose(f);
}

/* The number of the attack is written before it is made. */
static const struct attack *
next_attack(unsigned long *at)
{
	const struct attack *a, *before;
	char text[32];
	unsigned long k = 0;
	bool all;

	all = access(in_dir("rogue.all"), F_OK) == 0;
	if (line_now("rogue.next", text, sizeof(text)))
		k = strtoul(text, NULL, 10);
	before = k == 0 ? NULL : attack_get(k - 1);
	while ((a = attack_get(k)) != NULL && !all && before != NULL &&
	    same_kind(before->name, a->name))
		k++;
	next_write(k + 1);
	*at = k;
	return a;
}

static void
join(const struct attack *a)
{
	char key[128];

	line_of("rogue.key", key, sizeof(key));
	if (!rogue_join(&rogue, key)) {
		note("FAIL", a->name, rogue.why);
		exit(1);
	}
	old_ticket(true);
}

static void
attack(const struct attack *a)
{
	bool dies = a->link != LINK_NONE;

	/* Its author does not come to write its end: see judge_former(). */
	if (dies)
		note("begin", a->name, NULL);
	if (!attack_run(&rogue, a)) {
		note("FAIL", a->name, rogue.why);
		return;
	}
	if (dies)
		idle(a->maybe ? DEATH_MS / 8 : DEATH_MS);
	if (dies)
		note("spared", a->name, NULL);
	if (dies && !a->maybe)
		note("FAIL", a->name, "it was not killed");
	else
		note("ok", a->name, NULL);
	if (dies)
		exit(0);
}

static void
be_attacker(void)
{
	const struct attack *a;
	bool joined = false;
	unsigned long at;

	old_ticket(false);
	while ((a = next_attack(&at)) != NULL) {
		if (!loot_read()) {
			note("FAIL", a->name, "there is no victim");
			exit(1);
		}
		if (a->early && joined) {
			next_write(at);		/* for the next life */
			exit(0);
		}
		if (!a->early && !joined)
			join(a);
		attack(a);
		if (a->early)
			exit(0);	/* the hello is over */
		joined = true;
	}
	note("done", "all attacks", NULL);
	idle(INT_MAX);
}

/* The one that began before us did not come to write its end. */
static void
judge_former(void)
{
	char line[512], last[512] = "";
	FILE *f;

	if ((f = fopen(in_dir("rogue.log"), "r")) == NULL)
		return;
	while (fgets(line, sizeof(line), f) != NULL)
		(void)strlcpy(last, line, sizeof(last));
	(void)fclose(f);
	last[strcspn(last, "\n")] = '\0';
	if (strncmp(last, "begin ", 6) == 0)
		note("ok", last + 6, NULL);
}

/* It accepts nobody: a sibling shall do it. */
static void
say_paused(void)
{
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.paused = true;
	(void)rogue_send(&rogue, LINK_CFG, &m);
}

int
main(void)
{
	struct rogue_ops ops = { out, wait_quiet, random_octets, NULL };
	uint64_t generation;
	enum msg_link l;
	uint16_t slot;

	find_dir();
	slot = peek_boot(&generation);
	if (slot != VICTIM && slot != ATTACKER) {
		be_real();
	}
	(void)signal(SIGPIPE, SIG_IGN);
	for (l = LINK_NONE; l < LINK_MAX; l++)
		sock[l].fd = -1;
	sock_open(LINK_CFG, CFG_FD);
	if (noise_init() == -1)
		_exit(9);
	rogue_init(&rogue, &ops, slot, generation);
	while (!has_links())
		(void)turn(1000);
	say_paused();
	if (slot == VICTIM)
		be_victim();
	judge_former();
	be_attacker();
	return 0;
}
