#include <sys/wait.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/msg.h"
#include "common/msg_int.h"
#include "regress/lib/msg_make.h"

#define TABLE	"common/msg.tbl"

/* A copy of exactly n octets, so that a read beyond them is found. */
static void *
exact(const void *p, size_t n)
{
	void *q;

	assert_non_null(q = malloc(n == 0 ? 1 : n));
	memcpy(q, p, n);
	return q;
}

static int
decodes(enum msg_type type, const void *p, size_t n)
{
	struct msg m;
	void *q;
	int rc;

	q = exact(p, n);
	rc = msg_decode(&m, type, q, n);
	free(q);
	return rc;
}

/* What another encoder wrote decodes, and ours writes the same again. */
static void
same_again(enum msg_type type, struct make *mk)
{
	struct buf b = { 0 };
	struct msg m;

	make_body(mk, type);
	assert_true(mk->b.n <= MSG_MAX);
	memset(&m, 0xee, sizeof(m));
	if (msg_decode(&m, type, mk->b.p, mk->b.n) == -1)
		fail_msg("%s size %d", msg_name(type), mk->size);
	assert_int_equal(m.type, type);
	assert_int_equal(m.id, 0);
	assert_int_equal(m.fd, -1);
	assert_true(msg_ok(&m));
	msg_encode(&b, &m);
	assert_int_equal(b.n, mk->b.n);
	assert_memory_equal(b.p, mk->b.p, b.n);
	buf_free(&b);
}

static void
all_sizes(void **state)
{
	struct make mk = { .seed = 1 };
	unsigned int type, i;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		mk.size = MAKE_MIN;
		same_again(type, &mk);
		mk.size = MAKE_MAX;
		same_again(type, &mk);
		mk.size = MAKE_RANDOM;
		for (i = 0; i < 30; i++)
			same_again(type, &mk);
	}
	buf_free(&mk.b);
}

/* Every way to break every field of every message, elements included. */
static void
all_faults(void **state)
{
	struct make mk = { .seed = 1, .size = MAKE_RANDOM };
	unsigned int type, fields, hits[MAKE_FAULTS] = { 0 };

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		mk.fault = MAKE_WHOLE;
		mk.seed = type;
		make_body(&mk, type);
		fields = mk.n;
		for (mk.fault = 1; mk.fault < MAKE_FAULTS; mk.fault++)
			for (mk.at = 1; mk.at <= fields; mk.at++) {
				mk.seed = type;
				make_body(&mk, type);
				if (!mk.done)
					continue;
				hits[mk.fault]++;
				if (decodes(type, mk.b.p, mk.b.n) == 0)
					fail_msg("%s field %u fault %d",
					    msg_name(type), mk.at, mk.fault);
			}
	}
	/* No kind of fault was left untried, but min is 0 for all lists. */
	for (mk.fault = 1; mk.fault < MAKE_FAULTS; mk.fault++)
		if (mk.fault != MAKE_FEW)
			assert_true(hits[mk.fault] > 0);
	buf_free(&mk.b);
}

static void
cut_short(void **state)
{
	struct make mk = { .seed = 1, .size = MAKE_RANDOM };
	unsigned int type;
	size_t n;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		make_body(&mk, type);
		for (n = 0; n < mk.b.n; n++)
			assert_int_equal(decodes(type, mk.b.p, n), -1);
		assert_int_equal(decodes(type, mk.b.p, n), 0);
		buf_u8(&mk.b, 0);
		assert_int_equal(decodes(type, mk.b.p, n + 1), -1);
	}
	buf_free(&mk.b);
}

/* A changed bit is refused, or means something else: one encoding only. */
static void
flipped(void **state)
{
	struct make mk = { .seed = 99, .size = MAKE_RANDOM };
	struct buf b = { 0 };
	struct msg m;
	unsigned int type, bit;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		make_body(&mk, type);
		for (bit = 0; bit < mk.b.n * 8; bit++) {
			mk.b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
			if (msg_decode(&m, type, mk.b.p, mk.b.n) == 0) {
				buf_clear(&b);
				msg_encode(&b, &m);
				assert_int_equal(b.n, mk.b.n);
				assert_memory_equal(b.p, mk.b.p, b.n);
			}
			mk.b.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
	}
	buf_free(&b);
	buf_free(&mk.b);
}

static void
no_such_type(void **state)
{
	struct msg m;
	uint8_t *big;

	(void)state;
	assert_int_equal(msg_decode(&m, M_NONE, "", 0), -1);
	assert_int_equal(msg_decode(&m, M_MAX, "", 0), -1);
	assert_int_equal(msg_decode(&m, (enum msg_type)123456, "", 0), -1);
	assert_non_null(big = calloc(1, MSG_MAX + 1));
	assert_int_equal(msg_decode(&m, M_DB_ONLINE_MAP, big, MSG_MAX + 1),
	    -1);
	free(big);
	assert_string_equal(msg_name(M_NONE), "?");
	assert_string_equal(msg_name(M_MAX), "?");
	assert_string_equal(msg_name(M_DB_REG), "DB_REG");
	assert_string_equal(role_name(ROLE_MAX), "?");
	assert_string_equal(role_name(ROLE_WORKER), "worker");
	assert_string_equal(role_name(ROLE_CTL), "ctl");
	assert_string_equal(link_kind_name(LINK_MAX), "?");
	assert_string_equal(link_kind_name(LINK_POL), "POL");
}

static void
ranks(void **state)
{
	(void)state;
	assert_true(role_rank(ROLE_MASTER) < role_rank(ROLE_KEYD));
	assert_int_equal(role_rank(ROLE_KEYD), role_rank(ROLE_DBD));
	assert_true(role_rank(ROLE_DBD) < role_rank(ROLE_IDP));
	assert_true(role_rank(ROLE_IDP) < role_rank(ROLE_OUT));
	assert_true(role_rank(ROLE_OUT) < role_rank(ROLE_WORKER));
	assert_int_equal(role_rank(ROLE_WORKER), role_rank(ROLE_API));
	assert_int_equal(role_rank(ROLE_WORKER), role_rank(ROLE_STUN));
	assert_int_equal(role_rank(ROLE_WORKER), role_rank(ROLE_POLICYC));
	assert_int_equal(role_rank(ROLE_WORKER), role_rank(ROLE_CTL));
}

/* Runs f in a child; its exit code. */
static int
child(void (*f)(void))
{
	pid_t pid;
	int status, fd;

	if ((pid = fork()) == 0) {
		fd = open("/dev/null", O_WRONLY);
		(void)dup2(fd, STDERR_FILENO);
		f();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void
encode_bad(void (*spoil)(struct msg *), enum msg_type type)
{
	struct buf b = { 0 };
	struct msg m;

	msg_init(&m, type);
	spoil(&m);
	if (msg_ok(&m))
		_exit(77);
	msg_encode(&b, &m);
}

static void
spoil_long(struct msg *m)
{
	static char text[300];

	memset(text, 'x', sizeof(text));
	m->u.db_reg_no.text = slice_mem(text, 256);
}

static void
spoil_nul(struct msg *m)
{
	m->u.db_reg_no.text = slice_mem("a\0b", 3);
}

static void
spoil_nothing(struct msg *m)
{
	m->u.db_reg_no.text = slice_mem(NULL, 0);
}

static void
spoil_nested(struct msg *m)
{
	m->u.db_reg.hostinfo.os = slice_str("\xff");
}

static void
spoil_list(struct msg *m)
{
	m->u.db_reg.hostinfo.services.count = 1;
}

static void
spoil_prefix(struct msg *m)
{
	m->u.cfg_conf_dbd.base_domain = slice_str("x");
	m->u.cfg_conf_dbd.prefix4.addr.family = 4;
	m->u.cfg_conf_dbd.prefix4.addr.b[3] = 1;
	m->u.cfg_conf_dbd.prefix4.bits = 31;
}

static void
bad_long(void)
{
	encode_bad(spoil_long, M_DB_REG_NO);
}

static void
bad_nul(void)
{
	encode_bad(spoil_nul, M_DB_REG_NO);
}

static void
bad_nothing(void)
{
	encode_bad(spoil_nothing, M_DB_REG_NO);
}

static void
bad_nested(void)
{
	encode_bad(spoil_nested, M_DB_REG);
}

static void
bad_list(void)
{
	encode_bad(spoil_list, M_DB_REG);
}

static void
bad_prefix(void)
{
	encode_bad(spoil_prefix, M_CFG_CONF_DBD);
}

static void
own_bugs_are_fatal(void **state)
{
	(void)state;
	assert_int_equal(child(bad_long), 1);
	assert_int_equal(child(bad_nul), 1);
	assert_int_equal(child(bad_nothing), 1);
	assert_int_equal(child(bad_nested), 1);
	assert_int_equal(child(bad_list), 1);
	assert_int_equal(child(bad_prefix), 1);
}

static void
lists(void **state)
{
	struct buf b = { 0 }, nb = { 0 }, rb = { 0 }, m2 = { 0 };
	struct msg_list list = { 0 }, it, addrs;
	struct r_split s;
	struct r_resolver r;
	struct msg m, back;
	int i, k, n = 0;

	(void)state;
	for (i = 0; i < 5; i++) {
		buf_clear(&nb);
		memset(&s, 0, sizeof(s));
		s.suffix = slice_mem("abcdef", (size_t)i + 1);
		for (k = 0; k < i; k++) {
			r.v = slice_str("10.0.0.1");
			msg_list_add(&s.resolvers, &nb, MR_RESOLVER, &r);
		}
		msg_list_close(&s.resolvers, &nb);
		msg_list_add(&list, &b, MR_SPLIT, &s);
	}
	msg_list_close(&list, &b);
	assert_int_equal(list.count, 5);

	msg_init(&m, M_CFG_CONF_WORKER);
	m.u.cfg_conf_worker.server_url = slice_str("http://x");
	m.u.cfg_conf_worker.base_domain = slice_str("y");
	m.u.cfg_conf_worker.split = list;
	msg_encode(&m2, &m);
	assert_int_equal(msg_decode(&back, m.type, m2.p, m2.n), 0);
	assert_true(msg_list_eq(&back.u.cfg_conf_worker.split, &list));
	assert_false(msg_list_eq(&back.u.cfg_conf_worker.search, &list));
	it = back.u.cfg_conf_worker.split;
	while (msg_list_next(&it, MR_SPLIT, &s)) {
		assert_int_equal(s.suffix.n, n + 1);
		assert_int_equal(s.resolvers.count, n);
		addrs = s.resolvers;
		for (k = 0; msg_list_next(&addrs, MR_RESOLVER, &r); k++)
			assert_true(slice_eqs(r.v, "10.0.0.1"));
		assert_int_equal(k, n);
		n++;
	}
	assert_int_equal(n, 5);
	assert_false(msg_list_next(&it, MR_SPLIT, &s));

	assert_true(msg_rec_ok(MR_SPLIT, &s));
	msg_rec_encode(&rb, MR_SPLIT, &s);
	memset(&s, 0, sizeof(s));
	assert_int_equal(msg_rec_decode(&s, MR_SPLIT, rb.p, rb.n), 0);
	assert_int_equal(s.suffix.n, 5);
	assert_int_equal(msg_rec_decode(&s, MR_SPLIT, rb.p, rb.n - 1), -1);
	buf_u8(&rb, 0);
	assert_int_equal(msg_rec_decode(&s, MR_SPLIT, rb.p, rb.n), -1);
	s.suffix = slice_str("");
	assert_false(msg_rec_ok(MR_SPLIT, &s));
	buf_free(&b);
	buf_free(&nb);
	buf_free(&rb);
	buf_free(&m2);
}

/* Keys are 0x5a.. and secret texts Z.. in what make_body() writes. */
static void
prints_no_secret(void **state)
{
	struct make mk = { .seed = 5, .size = MAKE_MAX };
	struct buf b = { 0 };
	struct msg m;
	unsigned int type, secret = 0;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		make_body(&mk, type);
		assert_int_equal(msg_decode(&m, type, mk.b.p, mk.b.n), 0);
		m.id = 42;
		buf_clear(&b);
		msg_print(&b, &m);
		buf_u8(&b, 0);
		assert_memory_equal(b.p, msg_name(type),
		    strlen(msg_name(type)));
		assert_non_null(strstr((char *)b.p, " id=42"));
		assert_null(strchr((char *)b.p, '\n'));
		if (!msg_is_secret(type))
			continue;
		secret++;
		assert_non_null(strstr((char *)b.p, "=..."));
		assert_null(strstr((char *)b.p, "5a5a"));
		assert_null(strstr((char *)b.p, "ZZ"));
	}
	assert_true(secret >= 5);
	assert_true(msg_is_secret(M_DB_REG));
	assert_true(msg_is_secret(M_KEY_NOISE_READY));
	assert_true(msg_is_secret(M_CFG_SECRET));
	assert_false(msg_is_secret(M_DB_NODE_PUT));
	buf_free(&b);
	buf_free(&mk.b);
}

/* msg.tbl as another reader sees it. */
struct row {
	char		 name[64];
	unsigned int	 link;
	unsigned int	 from;
	unsigned int	 to;
	unsigned int	 state;
	bool		 fd;
	char		 class[16];
	unsigned int	 credit;
	char		 principal[16];
};

static unsigned int
role_set(char *list)
{
	unsigned int set = 0, r;
	char *p;

	while ((p = strsep(&list, ",")) != NULL) {
		for (r = 1; r < ROLE_MAX; r++)
			if (strcmp(role_name(r), p) == 0)
				break;
		assert_true(r < ROLE_MAX);
		set |= 1U << r;
	}
	return set;
}

static void
read_row(struct row *row, char *line)
{
	char *word[9], *p, *to;
	unsigned int n = 0;

	while ((p = strsep(&line, " \n")) != NULL)
		if (*p != '\0') {
			assert_true(n < 9);
			word[n++] = p;
		}
	assert_int_equal(n, 9);
	assert_true(snprintf(row->name, sizeof(row->name), "%s", word[1]) <
	    (int)sizeof(row->name));
	for (row->link = 1; row->link < LINK_MAX; row->link++)
		if (strcmp(link_kind_name(row->link), word[2]) == 0)
			break;
	assert_true(row->link < LINK_MAX);
	assert_non_null(to = strchr(word[3], '>'));
	*to++ = '\0';
	row->from = role_set(word[3]);
	row->to = role_set(to);
	row->state = strcmp(word[4], "setup") == 0 ? 1 :
	    strcmp(word[4], "run") == 0 ? 2 : 3;
	if (row->state == 3)
		assert_string_equal(word[4], "any");
	row->fd = strcmp(word[5], "fd") == 0;
	(void)snprintf(row->class, sizeof(row->class), "%s", word[6]);
	row->credit = (unsigned int)strtoul(word[7], NULL, 10);
	(void)snprintf(row->principal, sizeof(row->principal), "%s", word[8]);
}

static unsigned int
read_table(struct row *rows, unsigned int max)
{
	char line[512];
	unsigned int n = 0;
	FILE *f;

	if ((f = fopen(TABLE, "r")) == NULL)
		fail_msg("%s: run this from the top of the tree", TABLE);
	while (fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "message ", 8) == 0) {
			assert_true(n < max);
			read_row(&rows[n++], line);
		}
	(void)fclose(f);
	return n;
}

/* Every sender, receiver, link, state and number, with the table's cells. */
static void
walk(void **state)
{
	static struct row rows[M_MAX];
	unsigned int n, type, from, to, link, st;
	bool want;

	(void)state;
	n = read_table(rows, M_MAX);
	assert_int_equal(n, M_MAX - 1);
	for (type = 0; type < M_MAX + 300; type++)
		for (from = 0; from < ROLE_MAX; from++)
			for (to = 0; to < ROLE_MAX; to++)
				for (link = 0; link < LINK_MAX; link++)
					for (st = 1; st <= 2; st++) {
		want = type > 0 && type < M_MAX &&
		    (rows[type - 1].from >> from & 1) != 0 &&
		    (rows[type - 1].to >> to & 1) != 0 &&
		    rows[type - 1].link == link &&
		    (rows[type - 1].state & st) != 0;
		if (msg_permitted(type, from, to, link, st) != want)
			fail_msg("%s %s>%s on %s in %u", msg_name(type),
			    role_name(from), role_name(to),
			    link_kind_name(link), st);
	}
	assert_false(msg_permitted(UINT32_MAX, ROLE_MASTER, ROLE_WORKER,
	    LINK_CFG, MSG_RUN));
}

static void
rows_as_written(void **state)
{
	static const char *const class[] = { "request", "reply", "row",
	    "notify" };
	static const char *const by[] = { "process", "ticket", "none", "admin",
	    "bearer" };
	static struct row rows[M_MAX];
	unsigned int i, n;

	(void)state;
	n = read_table(rows, M_MAX);
	for (i = 0; i < n; i++) {
		assert_string_equal(msg_name(i + 1), rows[i].name);
		assert_string_equal(class[msg_class(i + 1)], rows[i].class);
		assert_int_equal(msg_wants_fd(i + 1), rows[i].fd);
		assert_int_equal(msg_credit(i + 1), rows[i].credit);
		assert_string_equal(by[msg_principal(i + 1)],
		    rows[i].principal);
		assert_int_equal(rows[i].credit > 0,
		    msg_class(i + 1) == MSG_REQUEST);
		/* Descriptors travel down only (trust.md 1). */
		if (rows[i].fd)
			assert_true(role_rank((enum role)__builtin_ctz(
			    rows[i].from)) < 2);
	}
}

static bool
fixed_size(const struct msg_field *f)
{
	const struct msg_record *rec;
	unsigned int i;

	if (f->kind != MF_REC)
		return f->kind <= MF_KEY;
	rec = msg_record(f->rec);
	for (i = 0; i < rec->nfields; i++)
		if (!fixed_size(&rec->fields[i]))
			return false;
	return true;
}

/* What goes up to master is of fixed size (architecture.md rule 5). */
static void
master_reads_fixed_sizes(void **state)
{
	const struct msg_row *row;
	unsigned int type, i;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		row = msg_row(type);
		if ((row->to & MSG_ROLE(ROLE_MASTER)) == 0)
			continue;
		for (i = 0; i < row->nfields; i++)
			if (!fixed_size(&row->fields[i]))
				fail_msg("%s %s", row->name,
				    row->fields[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_sizes),
		cmocka_unit_test(all_faults),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(flipped),
		cmocka_unit_test(no_such_type),
		cmocka_unit_test(ranks),
		cmocka_unit_test(own_bugs_are_fatal),
		cmocka_unit_test(lists),
		cmocka_unit_test(prints_no_secret),
		cmocka_unit_test(walk),
		cmocka_unit_test(rows_as_written),
		cmocka_unit_test(master_reads_fixed_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
