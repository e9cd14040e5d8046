#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/compat/compat.h"

#define BIG	(128 * 1024)

static int sv[2];
static struct imsgbuf a, b;

static int
setup(void **state)
{
	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
	    sv) == -1)
		return -1;
	return imsgbuf_init(&a, sv[0]) | imsgbuf_init(&b, sv[1]);
}

static int
teardown(void **state)
{
	(void)state;
	imsgbuf_clear(&a);
	imsgbuf_clear(&b);
	(void)close(sv[0]);
	(void)close(sv[1]);
	return 0;
}

static uint8_t
octet(uint32_t id, size_t k)
{
	return (uint8_t)(id * 31 + k * 7 + (k >> 8));
}

static void
send_one(struct imsgbuf *to, uint32_t id, size_t n, int fd)
{
	uint8_t *p;
	size_t k;

	assert_non_null(p = malloc(n + 1));
	for (k = 0; k < n; k++)
		p[k] = octet(id, k);
	assert_int_equal(imsg_compose(to, id + 1000, id, 0, fd, p, n), 1);
	free(p);
}

/* Takes the next message, which must be number id of n octets; its fd. */
static int
check_one(struct imsgbuf *from, uint32_t id, size_t n)
{
	struct imsg imsg;
	struct ibuf view;
	const uint8_t *p;
	size_t k;
	int fd;

	assert_int_equal(imsgbuf_get(from, &imsg), 1);
	assert_int_equal(imsg_get_type(&imsg), id + 1000);
	assert_int_equal(imsg_get_id(&imsg), id);
	assert_int_equal(imsg_get_pid(&imsg), getpid());
	assert_int_equal(imsg_get_len(&imsg), n);
	if (n == 0)
		assert_int_equal(imsg_get_ibuf(&imsg, &view), -1);
	else {
		assert_int_equal(imsg_get_ibuf(&imsg, &view), 0);
		assert_int_equal(ibuf_size(&view), n);
		p = ibuf_data(&view);
		for (k = 0; k < n; k++)
			assert_int_equal(p[k], octet(id, k));
	}
	fd = imsg_get_fd(&imsg);
	assert_int_equal(imsg_get_fd(&imsg), -1);	/* taken */
	imsg_free(&imsg);
	return fd;
}

static void
simple(void **state)
{
	struct imsg imsg;
	uint32_t v = 77, out = 0;
	uint64_t wrong;

	(void)state;
	assert_int_equal(imsgbuf_read(&b), 1);	/* nothing there */
	assert_int_equal(imsgbuf_get(&b, &imsg), 0);
	assert_int_equal(imsg_compose(&a, 5, 6, 7, -1, &v, sizeof(v)), 1);
	send_one(&a, 9, 0, -1);
	assert_int_equal(imsgbuf_queuelen(&a), 2);
	assert_int_equal(imsgbuf_queued(&a), 2 * IMSG_HEADER_SIZE + 4);
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_queuelen(&a), 0);
	assert_int_equal(imsgbuf_queued(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsg_get(&b, &imsg), IMSG_HEADER_SIZE + 4);
	assert_int_equal(imsg_get_type(&imsg), 5);
	assert_int_equal(imsg_get_id(&imsg), 6);
	assert_int_equal(imsg_get_pid(&imsg), 7);
	assert_int_equal(imsg_get_data(&imsg, &wrong, sizeof(wrong)), -1);
	assert_int_equal(imsg_get_data(&imsg, &wrong, 0), -1);
	assert_int_equal(imsg_get_data(&imsg, &out, sizeof(out)), 0);
	assert_int_equal(out, 77);
	imsg_free(&imsg);
	assert_int_equal(check_one(&b, 9, 0), -1);
	assert_int_equal(imsg_get(&b, &imsg), 0);
	(void)shutdown(sv[0], SHUT_WR);
	assert_int_equal(imsgbuf_read(&b), 0);
}

static void
vectors(void **state)
{
	struct iovec iov[3] = { { "ab", 2 }, { NULL, 0 }, { "cde", 3 } };
	struct imsg imsg;
	char out[5];

	(void)state;
	assert_int_equal(imsg_composev(&a, 1, 2, 0, -1, iov, 3), 1);
	assert_int_equal(imsgbuf_flush(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsgbuf_get(&b, &imsg), 1);
	assert_int_equal(imsg_get_data(&imsg, out, 5), 0);
	assert_memory_equal(out, "abcde", 5);
	imsg_free(&imsg);
}

/* Many sizes through a socket that takes only part at a time. */
static void
stream(void **state)
{
	struct imsg imsg;
	struct imsgbuf *w = &a, *r = &b;
	uint32_t sent = 0, got = 0, seed = 3, k;
	size_t size[4000];
	int pass;

	(void)state;
	assert_int_equal(imsgbuf_set_maxsize(w, BIG), 0);
	assert_int_equal(imsgbuf_set_maxsize(r, BIG), 0);
	for (k = 0; k < 4000; k++) {
		seed = seed * 1103515245 + 12345;
		size[k] = (seed >> 16) % 100 == 0 ? seed % (BIG + 1) :
		    (seed >> 16) % 300;
	}
	size[17] = BIG;
	size[18] = 0;
	for (pass = 0; got < 4000; pass++) {
		for (k = 0; k < 50 && sent < 4000; k++, sent++)
			send_one(w, sent, size[sent], -1);
		assert_int_equal(imsgbuf_write(w), 0);
		assert_int_equal(imsgbuf_read(r), 1);
		/* Now and then it is not looked at at once. */
		while (pass % 3 != 0 && got < sent &&
		    imsgbuf_queued(w) < 64 * 1024 * 1024) {
			int rc;

			if ((rc = imsgbuf_get(r, &imsg)) == 0)
				break;
			assert_int_equal(rc, 1);
			assert_int_equal(imsg_get_id(&imsg), got);
			assert_int_equal(imsg_get_len(&imsg), size[got]);
			if (size[got] > 0)
				assert_int_equal(((uint8_t *)imsg.data)
				    [size[got] - 1],
				    octet(got, size[got] - 1));
			imsg_free(&imsg);
			got++;
		}
	}
	assert_int_equal(imsgbuf_queued(w), 0);
	assert_int_equal(imsgbuf_queuelen(w), 0);
	assert_int_equal(imsgbuf_get(r, &imsg), 0);
}

/* One octet at a time comes together again. */
static void
dribble(void **state)
{
	uint8_t raw[200];
	struct imsg imsg;
	int n, k;

	(void)state;
	send_one(&a, 1, 40, -1);
	send_one(&a, 2, 0, -1);
	send_one(&a, 3, 7, -1);
	assert_int_equal(imsgbuf_write(&a), 0);
	n = (int)read(sv[1], raw, sizeof(raw));
	assert_int_equal(n, 3 * 16 + 47);
	for (k = 0; k < n; k++) {
		assert_int_equal(write(sv[0], raw + k, 1), 1);
		assert_int_equal(imsgbuf_read(&b), 1);
		if (k == 55)
			(void)check_one(&b, 1, 40);
		else if (k == 71)
			(void)check_one(&b, 2, 0);
		else if (k == 94)
			(void)check_one(&b, 3, 7);
		assert_int_equal(imsgbuf_get(&b, &imsg), 0);
	}
}

static void
limits(void **state)
{
	static uint8_t big[BIG + 1];
	struct iovec iov[2] = { { big, 100 }, { big, 1 } };

	(void)state;
	assert_int_equal(imsg_compose(&a, 1, 1, 0, -1, big,
	    MAX_IMSGSIZE - IMSG_HEADER_SIZE), 1);
	errno = 0;
	assert_int_equal(imsg_compose(&a, 1, 1, 0, -1, big,
	    MAX_IMSGSIZE - IMSG_HEADER_SIZE + 1), -1);
	assert_int_equal(errno, ERANGE);
	assert_int_equal(imsg_compose(&a, 1, 1, 0, -1, big, SIZE_MAX), -1);
	assert_int_equal(imsgbuf_set_maxsize(&a, 100), 0);
	assert_int_equal(imsg_composev(&a, 1, 1, 0, -1, iov, 1), 1);
	assert_int_equal(imsg_composev(&a, 1, 1, 0, -1, iov, 2), -1);
	assert_int_equal(imsgbuf_queuelen(&a), 2);
	assert_int_equal(imsgbuf_set_maxsize(&a, UINT32_MAX), -1);
	assert_int_equal(imsgbuf_set_maxsize(&a, 0x80000000U), -1);
}

static void
bad_lengths(void **state)
{
	static const uint32_t len[] = { 0, 15, 1000 + 17, 0x7fffffff, 0x1000000,
	    0x80000000U, 0x80000000U | 15, UINT32_MAX };
	struct imsg_hdr hdr = { 1, 0, 2, 3 };
	struct imsg imsg;
	unsigned int i, pass;

	(void)state;
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
			(void)teardown(NULL);
			(void)setup(NULL);
			assert_int_equal(imsgbuf_set_maxsize(&b, 1000), 0);
			if (pass == 1)
				imsgbuf_allow_fdpass(&b);
			hdr.len = len[i];
			assert_int_equal(write(sv[0], &hdr, sizeof(hdr)), 16);
			assert_int_equal(imsgbuf_read(&b), 1);
			errno = 0;
			assert_int_equal(imsgbuf_get(&b, &imsg), -1);
			assert_int_equal(errno, EBADMSG);
			assert_int_equal(imsgbuf_get(&b, &imsg), -1);
		}
	(void)teardown(NULL);
	(void)setup(NULL);
	assert_int_equal(imsgbuf_set_maxsize(&b, 1000), 0);
	hdr.len = 1016;				/* fits, and is awaited */
	assert_int_equal(write(sv[0], &hdr, sizeof(hdr)), 16);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsgbuf_get(&b, &imsg), 0);
}

static int
some_fd(void)
{
	int fd;

	assert_true((fd = open("/dev/null", O_RDONLY)) != -1);
	return fd;
}

static bool
is_null(int fd)
{
	struct stat st, want;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(stat("/dev/null", &want), 0);
	return st.st_rdev == want.st_rdev && S_ISCHR(st.st_mode);
}

static int
count_fds(void)
{
	int fd, n = 0;

	for (fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* Messages with and without, in one batch: each gets its own. */
static void
descriptors_match(void **state)
{
	struct imsg imsg;
	int fd, k, before = count_fds(), rc, guard = 0;

	(void)state;
	imsgbuf_allow_fdpass(&b);
	for (k = 0; k < 40; k++)
		send_one(&a, (uint32_t)k, 10 + (size_t)k * 100,
		    k % 3 == 1 || k % 7 == 0 ? some_fd() : -1);
	for (k = 0; k < 40; ) {
		assert_true(++guard < 1000);
		assert_int_equal(imsgbuf_write(&a), 0);
		assert_int_equal(imsgbuf_read(&b), 1);
		while (k < 40 && (rc = imsgbuf_get(&b, &imsg)) != 0) {
			assert_int_equal(rc, 1);
			assert_int_equal(imsg_get_id(&imsg), k);
			fd = imsg_get_fd(&imsg);
			assert_int_equal(fd != -1, k % 3 == 1 || k % 7 == 0);
			if (fd != -1) {
				assert_true(is_null(fd));
				assert_int_equal(fcntl(fd, F_GETFD),
				    FD_CLOEXEC);
				(void)close(fd);
			}
			imsg_free(&imsg);
			k++;
		}
	}
	assert_int_equal(count_fds(), before);
	/* One that nobody takes is closed with its message. */
	send_one(&a, 1, 1, some_fd());
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(count_fds(), before + 1);
	assert_int_equal(imsgbuf_get(&b, &imsg), 1);
	imsg_free(&imsg);
	assert_int_equal(count_fds(), before);
}

/* Without fdpass no descriptor ever arrives, and the mark is an error. */
static void
descriptors_refused(void **state)
{
	struct imsg imsg;
	int before = count_fds();

	(void)state;
	send_one(&a, 1, 5, -1);
	send_one(&a, 2, 5, some_fd());
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(count_fds(), before);
	assert_int_equal(check_one(&b, 1, 5), -1);
	errno = 0;
	assert_int_equal(imsgbuf_get(&b, &imsg), -1);
	assert_int_equal(errno, EPROTO);
}

/* Sends raw octets with n descriptors. */
static void
send_raw(const void *p, size_t len, int n)
{
	union {
		struct cmsghdr	 hdr;
		char		 room[CMSG_SPACE(8 * sizeof(int))];
	} control;
	struct iovec iov = { NULL, len };
	struct msghdr msg;
	struct cmsghdr *cmsg;
	int fds[8], k;

	memcpy(&iov.iov_base, &p, sizeof(p));
	memset(&msg, 0, sizeof(msg));
	memset(&control, 0, sizeof(control));
	for (k = 0; k < n; k++)
		fds[k] = some_fd();
	msg.msg_iov = &iov;
	msg.msg_iovlen = 1;
	msg.msg_control = &control;
	msg.msg_controllen = CMSG_SPACE((size_t)n * sizeof(int));
	cmsg = CMSG_FIRSTHDR(&msg);
	cmsg->cmsg_len = CMSG_LEN((size_t)n * sizeof(int));
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(cmsg), fds, (size_t)n * sizeof(int));
	assert_int_equal(sendmsg(sv[0], &msg, 0), len);
	for (k = 0; k < n; k++)
		(void)close(fds[k]);
}

static void
surplus_closed(void **state)
{
	struct imsg_hdr hdr = { 1001, 16 | 0x80000000U, 1, 0 };
	struct imsg imsg;
	int before = count_fds(), fd, k;

	(void)state;
	hdr.pid = (uint32_t)getpid();
	imsgbuf_allow_fdpass(&b);
	send_raw(&hdr, sizeof(hdr), 5);		/* five for one message */
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(count_fds(), before + 1);
	fd = check_one(&b, 1, 0);
	assert_true(fd != -1);
	(void)close(fd);
	assert_int_equal(imsgbuf_get(&b, &imsg), 0);
	hdr.len = 16;				/* one that nothing announced */
	for (k = 0; k < 10; k++)
		send_raw(&hdr, sizeof(hdr), 1);
	for (k = 0; k < 10; k++)
		assert_int_equal(imsgbuf_read(&b), 1);
	assert_true(count_fds() <= before + 4);
	for (k = 0; k < 10; k++)
		assert_int_equal(check_one(&b, 1, 0), -1);
	assert_int_equal(imsgbuf_get(&b, &imsg), 0);
	assert_int_equal(count_fds(), before);
	/* Announced, but there is none. */
	hdr.len = 16 | 0x80000000U;
	assert_int_equal(write(sv[0], &hdr, sizeof(hdr)), 16);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(check_one(&b, 1, 0), -1);
}

/* Who has no room for a descriptor is told so; what comes without is read. */
static void
no_room(void **state)
{
	struct rlimit old, none;
	int before = count_fds(), fd, rc, why;
	uint32_t k;

	(void)state;
	imsgbuf_allow_fdpass(&b);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_not_equal(fd = dup(0), -1);
	none = old;
	none.rlim_cur = (rlim_t)fd;
	(void)close(fd);
	for (k = 0; k < 2; k++) {
		send_one(&a, k, 5, k == 1 ? some_fd() : -1);
		assert_int_equal(imsgbuf_write(&a), 0);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
		errno = 0;
		rc = imsgbuf_read(&b);
		why = errno;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
		assert_int_equal(rc, k == 1 ? -1 : 1);
		if (k == 1)
			assert_int_equal(why, EMFILE);
		else
			(void)check_one(&b, k, 5);
	}
	assert_int_equal(count_fds(), before);
}

/* A message that is held survives reads, the clearing and other messages. */
static void
held(void **state)
{
	struct imsg first, second, imsg;
	uint32_t k;

	(void)state;
	for (k = 0; k < 3; k++)
		send_one(&a, k, 9000, -1);
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsgbuf_get(&b, &first), 1);
	assert_int_equal(imsgbuf_get(&b, &second), 1);
	for (k = 3; k < 40; k++) {
		send_one(&a, k, 9000, -1);
		assert_int_equal(imsgbuf_write(&a), 0);
		assert_int_equal(imsgbuf_read(&b), 1);
		(void)check_one(&b, k - 1, 9000);
	}
	imsgbuf_clear(&b);
	assert_int_equal(imsgbuf_get(&b, &imsg), 0);
	for (k = 0; k < 9000; k++) {
		assert_int_equal(((uint8_t *)first.data)[k], octet(0, k));
		assert_int_equal(((uint8_t *)second.data)[k], octet(1, k));
	}
	imsg_free(&second);
	imsg_free(&first);
	send_one(&a, 99, 10, -1);		/* and it works again */
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	(void)check_one(&b, 99, 10);
}

/* What was handed out is wiped when it is given back. */
static void
wiped(void **state)
{
	struct imsg one, two;
	const uint8_t *p;
	size_t k;

	(void)state;
	send_one(&a, 5, 100, -1);
	send_one(&a, 6, 100, -1);
	assert_int_equal(imsgbuf_write(&a), 0);
	assert_int_equal(imsgbuf_read(&b), 1);
	assert_int_equal(imsgbuf_get(&b, &one), 1);
	assert_int_equal(imsgbuf_get(&b, &two), 1);
	p = one.data;
	imsg_free(&one);		/* the block lives on: two holds it */
	for (k = 0; k < 100; k++)
		assert_int_equal(p[k], 0);
	assert_int_equal(((uint8_t *)two.data)[99], octet(6, 99));
	imsg_free(&two);
}

static void
gone(void **state)
{
	int k, before;

	(void)state;
	before = count_fds();
	send_one(&a, 1, 10, some_fd());
	send_one(&a, 2, 10, some_fd());
	imsgbuf_clear(&a);		/* what was not sent is closed */
	assert_int_equal(count_fds(), before);
	assert_int_equal(imsgbuf_queued(&a), 0);
	assert_int_equal(imsgbuf_queuelen(&a), 0);
	(void)close(sv[1]);
	for (k = 0; k < 3; k++)
		send_one(&a, 1, 10, -1);
	errno = 0;
	assert_int_equal(imsgbuf_write(&a), -1);
	assert_int_equal(errno, EPIPE);
	assert_true(imsgbuf_queued(&a) > 0);
	sv[1] = some_fd();
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(simple), T(vectors), T(stream), T(dribble), T(limits),
		T(bad_lengths), T(descriptors_match),
		T(descriptors_refused), T(surplus_closed), T(no_room), T(held),
		T(wiped), T(gone),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
