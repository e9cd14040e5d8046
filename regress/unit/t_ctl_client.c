/* The client's own transport, against a server in a child process. */

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "ctl/client.h"
#include "regress/lib/quiet.h"

#define ROWS	3000

struct fix {
	char	dir[64];
	char	path[96];
	pid_t	pid;
};

enum mode {
	M_GOOD,			/* answers as dbd does */
	M_OTHER,		/* CTL_NO to the hello */
	M_DEAF,			/* hangs up on the hello */
	M_STRANGE,		/* answers the hello with what is no answer */
	M_GARBAGE,		/* octets that are no message */
	M_DIES,			/* hangs up in the middle of a list */
	M_STUCK			/* takes nothing after the hello */
};

static void
answer(struct imsgbuf *b, uint32_t id, struct msg *m)
{
	struct buf body = { 0 };

	msg_encode(&body, m);
	(void)imsg_compose(b, m->type, id, 0, -1, body.p, body.n);
	buf_free(&body);
	if (imsgbuf_flush(b) == -1)
		_exit(3);
}

static void
list(struct imsgbuf *b, uint32_t id, enum mode mode)
{
	static char text[1024];
	struct msg m;
	int i;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < ROWS; i++) {
		msg_init(&m, M_CTL_USER);
		m.u.ctl_user.user.id = (uint64_t)i + 1;
		m.u.ctl_user.user.name = slice_str("alice");
		m.u.ctl_user.user.picture = slice_mem(text, sizeof(text));
		answer(b, id, &m);
		if (mode == M_DIES && i == ROWS / 2)
			_exit(0);
	}
	msg_init(&m, M_CTL_END);
	m.u.ctl_end.count = ROWS;
	answer(b, id, &m);
}

static void
serve_one(struct imsgbuf *b, struct imsg *in, enum mode mode)
{
	struct msg req, m;

	if (msg_decode(&req, (enum msg_type)imsg_get_type(in), in->data,
	    imsg_get_len(in)) == -1)
		_exit(4);
	if (req.type == M_CTL_HELLO) {
		if (req.u.ctl_hello.table != MSG_TABLE_SUM)
			_exit(5);
		if (mode == M_DEAF)
			_exit(0);
		if (mode == M_GARBAGE) {
			if (write(b->fd, "GET / HTTP/1.0\r\n\r\n......",
			    24) != 24)
				_exit(7);
			return;
		}
		msg_init(&m, mode == M_OTHER ? M_CTL_NO : mode == M_STRANGE ?
		    M_CTL_END : M_CTL_OK);
		if (mode == M_OTHER)
			m.u.ctl_no.text = slice_str("use your own");
		answer(b, imsg_get_id(in), &m);
		if (mode == M_STUCK)
			(void)sleep(30);
	} else if (req.type == M_CTL_USER_LIST) {
		list(b, imsg_get_id(in), mode);
	} else {
		msg_init(&m, M_CTL_NO);
		m.u.ctl_no.text = slice_str("no");
		answer(b, imsg_get_id(in), &m);
	}
}

static void
serve(int lfd, enum mode mode)
{
	struct imsgbuf b;
	struct imsg in;
	int fd, n;

	if ((fd = accept(lfd, NULL, NULL)) == -1 ||
	    imsgbuf_init(&b, fd) == -1 ||
	    imsgbuf_set_maxsize(&b, MSG_MAX) == -1)
		_exit(2);
	while (imsgbuf_read(&b) == 1)
		while ((n = imsgbuf_get(&b, &in)) != 0) {
			if (n == -1)
				_exit(6);
			serve_one(&b, &in, mode);
			imsg_free(&in);
		}
	_exit(0);
}

static void
start(struct fix *f, enum mode mode)
{
	struct sockaddr_un sun;
	int fd;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	(void)strlcpy(sun.sun_path, f->path, sizeof(sun.sun_path));
	assert_int_not_equal(fd = socket(AF_UNIX, SOCK_STREAM, 0), -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	assert_int_equal(listen(fd, 5), 0);
	(void)fflush(NULL);
	assert_int_not_equal(f->pid = fork(), -1);
	if (f->pid == 0)
		serve(fd, mode);
	(void)close(fd);
}

static void
stop(struct fix *f)
{
	int status;

	if (f->pid == 0)
		return;
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	f->pid = 0;
	(void)unlink(f->path);
}

static int
setup(void **state)
{
	struct fix *f;

	f = xcalloc(1, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/t_client.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/sock", f->dir);
	quiet_log();
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	(void)unlink(f->path);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	log_capture(NULL, NULL);
	return 0;
}

struct got {
	unsigned int	rows;
	unsigned int	replies;
	enum msg_type	last;
	uint64_t	next;
};

static void
on_answer(const struct msg *m, void *arg)
{
	struct got *g = arg;

	g->last = m->type;
	if (m->type == M_CTL_USER) {
		assert_int_equal(m->u.ctl_user.user.id, ++g->next);
		g->rows++;
	} else
		g->replies++;
}

static void
test_good(void **state)
{
	struct fix *f = *state;
	struct client *c;
	struct got g;
	struct msg m;
	char why[256] = "";
	int i;

	start(f, M_GOOD);
	c = client_open(f->path, why, sizeof(why));
	if (c == NULL)
		fail_msg("%s", why);
	for (i = 0; i < 2; i++) {
		memset(&g, 0, sizeof(g));
		msg_init(&m, M_CTL_USER_LIST);
		assert_int_equal(client_call(c, &m, on_answer, &g, why,
		    sizeof(why)), 0);
		assert_int_equal(g.rows, ROWS);
		assert_int_equal(g.replies, 1);
		assert_int_equal(g.last, M_CTL_END);
	}
	memset(&g, 0, sizeof(g));
	msg_init(&m, M_CTL_RELOAD);
	assert_int_equal(client_call(c, &m, on_answer, &g, why, sizeof(why)),
	    0);
	assert_int_equal(g.last, M_CTL_NO);
	client_close(c);
	stop(f);
}

static void
refused(struct fix *f, enum mode mode, const char *want)
{
	char why[256] = "";

	start(f, mode);
	assert_null(client_open(f->path, why, sizeof(why)));
	if (strstr(why, want) == NULL)
		fail_msg("%s", why);
	stop(f);
}

static void
test_bad_hello(void **state)
{
	struct fix *f = *state;

	refused(f, M_OTHER, "use your own");
	refused(f, M_DEAF, "is it of the same version?");
	refused(f, M_STRANGE, "is it of the same version?");
	refused(f, M_GARBAGE, "is it of the same version?");
}

static void
test_dies(void **state)
{
	struct fix *f = *state;
	struct client *c;
	struct got g;
	struct msg m;
	char why[256] = "";

	start(f, M_DIES);
	assert_non_null(c = client_open(f->path, why, sizeof(why)));
	memset(&g, 0, sizeof(g));
	msg_init(&m, M_CTL_USER_LIST);
	assert_int_equal(client_call(c, &m, on_answer, &g, why, sizeof(why)),
	    -1);
	assert_int_equal(g.replies, 0);
	assert_non_null(strstr(why, "ended the connection"));
	/* And no more is to be had from it. */
	assert_int_equal(client_call(c, &m, on_answer, &g, why, sizeof(why)),
	    -1);
	client_close(c);
	client_close(NULL);
	stop(f);
}

/* What waits goes on at once: a child for each. */

static bool
says(const char *why, const char *want)
{
	if (strcmp(why, want) == 0)
		return true;
	(void)fprintf(stderr, "%s\n", why);
	return false;
}

/* A server that takes nothing after the hello; parts: sent before. */
static bool
stuck(struct fix *f, enum msg_type type, int parts, const char *want)
{
	static const char text[60000];
	struct client *c;
	struct msg m;
	char why[256] = "";
	int rc, again;

	start(f, M_STUCK);
	if ((c = client_open(f->path, why, sizeof(why))) == NULL)
		return says(why, want);
	while (parts-- > 0) {
		msg_init(&m, M_CTL_POLICY_PART);
		m.u.ctl_policy_part.octets = slice_mem(text, sizeof(text));
		client_send(c, &m);
	}
	msg_init(&m, type);
	rc = client_call(c, &m, NULL, NULL, why, sizeof(why));
	/* The next one does not wait. */
	again = client_call(c, &m, NULL, NULL, why, sizeof(why));
	client_close(c);
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, NULL, 0);
	return rc == -1 && again == -1 && says(why, want);
}

static bool
asks(struct fix *f)
{
	return stuck(f, M_CTL_STATUS, 0,
	    "headscaled did not answer within 10 s");
}

static bool
orders(struct fix *f)
{
	return stuck(f, M_CTL_VERBOSE, 0, "headscaled did not answer within "
	    "10 s; what it was told to do may still be done");
}

/* More than the socket takes. */
static bool
sends(struct fix *f)
{
	return stuck(f, M_CTL_DERP_LIST, 17,
	    "headscaled did not answer within 10 s");
}

/* As many as may wait to be accepted do. */
static bool
crowds(struct fix *f)
{
	char why[256] = "", want[160] = "headscaled does not answer";
	struct sockaddr_un sun;
	int fd, lfd, i;

	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	(void)strlcpy(sun.sun_path, f->path, sizeof(sun.sun_path));
	if ((lfd = socket(AF_UNIX, SOCK_STREAM, 0)) == -1 ||
	    bind(lfd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    listen(lfd, 0) == -1)
		return false;
	for (i = 0; i < 4; i++) {
		if ((fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0)) ==
		    -1)
			return false;
		if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == 0)
			continue;
		if (i == 0)
			return false;
		/* Some systems tell a full socket from a dead one, some not. */
		if (errno == ECONNREFUSED)
			(void)snprintf(want, sizeof(want), "%s: nobody "
			    "listens: headscaled does not run", f->path);
	}
	return client_open(f->path, why, sizeof(why)) == NULL &&
	    says(why, want);
}

static void
test_late(void **state)
{
	static bool (*const run[])(struct fix *) = { asks, orders, sends,
	    crowds };
	struct fix *f = *state;
	pid_t pid[4];
	int status, i;

	(void)fflush(NULL);
	for (i = 0; i < 4; i++) {
		(void)snprintf(f->path, sizeof(f->path), "%s/%d", f->dir, i);
		assert_int_not_equal(pid[i] = fork(), -1);
		if (pid[i] != 0)
			continue;
		(void)alarm(25);
		_exit(run[i](f) ? 0 : 1);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
		(void)snprintf(f->path, sizeof(f->path), "%s/%d", f->dir, i);
		(void)unlink(f->path);
	}
}

static void
test_no_socket(void **state)
{
	struct fix *f = *state;
	char why[256] = "", path[150];
	int fd;
	struct sockaddr_un sun;

	assert_null(client_open(f->path, why, sizeof(why)));
	assert_non_null(strstr(why, "no such socket: does headscaled run?"));
	/* One that a dead server left behind. */
	memset(&sun, 0, sizeof(sun));
	sun.sun_family = AF_UNIX;
	(void)strlcpy(sun.sun_path, f->path, sizeof(sun.sun_path));
	assert_int_not_equal(fd = socket(AF_UNIX, SOCK_STREAM, 0), -1);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	(void)close(fd);
	assert_null(client_open(f->path, why, sizeof(why)));
	assert_non_null(strstr(why, "nobody listens"));
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_null(client_open(path, why, sizeof(why)));
	assert_non_null(strstr(why, "too long"));
}

/* As somebody who may not: in a child, since root may. */
static void
test_denied(void **state)
{
	struct fix *f = *state;
	char why[256] = "";
	int status, ok;
	pid_t pid;

	start(f, M_GOOD);
	assert_int_equal(chmod(f->path, 0), 0);
	assert_int_equal(chmod(f->dir, 0755), 0);
	(void)fflush(NULL);
	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		if (geteuid() == 0 && setuid(65534) == -1)
			_exit(9);
		ok = client_open(f->path, why, sizeof(why)) == NULL &&
		    strstr(why, "permission denied: become root or a member "
		    "of the group ") != NULL;
		_exit(ok ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	/* The server has heard of nobody. */
	(void)kill(f->pid, SIGKILL);
	(void)waitpid(f->pid, &status, 0);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good), T(test_bad_hello), T(test_dies),
		T(test_late), T(test_no_socket), T(test_denied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
