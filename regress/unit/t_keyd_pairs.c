/* TLS keys and certificates from files: all of them or none. */

#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "common/log.h"
#include "common/noise.h"
#include "keyd/pairs.h"
#include "keyd/signer.h"
#include "regress/lib/keyworld.h"

#define NOW	1795000000
#define KEY	8
#define CERT	9

struct test {
	struct keyworld	*world;
	struct pairs	*pairs;
	EVP_PKEY	*key[2];
	int		 keys[2], certs[2];	/* files of the two pairs */
	char		 why[200];
};

static int
file_of(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	int fd;

	fd = memfd_create("pair", 0);
	assert_true(fd != -1);
	assert_int_equal(write(fd, p, (size_t)n), n);
	BIO_free(b);
	return fd;
}

static int
cert_file(EVP_PKEY *k)
{
	X509 *x = X509_new();
	BIO *b = BIO_new(BIO_s_mem());

	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(x), 0));
	assert_non_null(X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	assert_int_equal(X509_set_pubkey(x, k), 1);
	assert_true(X509_sign(x, k, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(b, x), 1);
	X509_free(x);
	return file_of(b);
}

static int
key_file(EVP_PKEY *k)
{
	BIO *b = BIO_new(BIO_s_mem());

	assert_int_equal(PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL,
	    NULL), 1);
	return file_of(b);
}

static int
setup(void **state)
{
	struct test *t = xcalloc(1, sizeof(*t));
	size_t i;

	t->world = keyworld_new(fakeenv_new(9));
	t->pairs = pairs_new();
	for (i = 0; i < 2; i++) {
		t->key[i] = EVP_EC_gen("P-256");
		t->keys[i] = key_file(t->key[i]);
		t->certs[i] = cert_file(t->key[i]);
	}
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;
	struct fakeenv *fake = t->world->fake;
	size_t i;

	for (i = 0; i < 2; i++) {
		EVP_PKEY_free(t->key[i]);
		close(t->keys[i]);
		close(t->certs[i]);
	}
	pairs_free(t->pairs);
	assert_true(keyworld_free(t->world));
	fakeenv_free(fake);
	free(t);
	return 0;
}

static void
give(struct test *t, unsigned int kind, unsigned int number, const char *name,
    int fd)
{
	struct m_cfg_file f = { 0 };

	f.kind = (uint8_t)kind;
	f.number = (uint16_t)number;
	f.name = slice_str(name);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	pairs_file(t->pairs, &f, fd);
}

static bool
check(struct test *t)
{
	memset(t->why, 0, sizeof(t->why));
	return pairs_check(t->pairs, NOW, t->why, sizeof(t->why));
}

static enum msg_type answered;
static uint8_t	sig[SIGNER_SIG_MAX], signed_[130];
static size_t	nsig;

static void
on_sig(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)l;
	(void)tag;
	(void)arg;
	answered = m->type;
	if (m->type == M_SIG_OK) {
		nsig = m->u.sig_ok.signature.n;
		memcpy(sig, m->u.sig_ok.signature.p, nsig);
	}
}

static void
on_keyd_sig(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct test *t = arg;

	(void)tag;
	assert_int_equal(keyd_sig_msg(t->world->keyd, l, m), 0);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	(void)why;
	(void)arg;
	link_free(l);
}

/* Key number n signs, through a SIG link. */
static bool
signs(struct test *t, unsigned int n)
{
	struct link_conf a = { 0 }, b = { 0 };
	uint8_t in[130];
	struct pair *p;
	struct msg m;

	a.kind = b.kind = LINK_SIG;
	a.self = b.peer = ROLE_WORKER;
	a.peer = b.self = ROLE_KEYD;
	a.on_msg = on_sig;
	b.on_msg = on_keyd_sig;
	a.on_down = b.on_down = on_down;
	a.arg = b.arg = t;
	p = pair_new(fakeenv_env(t->world->fake), &a, &b);
	memset(in, ' ', 64);
	memcpy(in + 64, "TLS 1.3, server CertificateVerify", 34);
	memset(in + 98, 1, 32);
	memcpy(signed_, in, sizeof(in));
	msg_init(&m, M_SIG_SIGN);
	m.u.sig_sign.key = (uint16_t)n;
	m.u.sig_sign.scheme = 0x0403;
	m.u.sig_sign.octets = slice_mem(in, sizeof(in));
	answered = M_NONE;
	(void)link_request(pair_link(p, PAIR_A), &m, NULL, 0);
	(void)pair_run(p);
	pair_kill(p, PAIR_A);
	(void)pair_run(p);
	pair_free(p);
	assert_true(answered == M_SIG_OK || answered == M_SIG_NO);
	return answered == M_SIG_OK;
}

static void
test_two(void **state)
{
	struct test *t = *state;

	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 1, "a.pem", t->certs[0]);
	give(t, KEY, 1, "a.key", t->keys[0]);
	give(t, KEY, 2, "b.key", t->keys[1]);
	give(t, CERT, 2, "b.pem", t->certs[1]);
	assert_true(check(t));
	assert_false(signs(t, 1));
	pairs_commit(t->pairs, t->world->keyd, 0);
	assert_true(signs(t, 1));
	assert_true(signs(t, 2));
	assert_false(signs(t, 3));
}

static void
test_mismatch(void **state)
{
	struct test *t = *state;

	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 1, "a.pem", t->certs[0]);
	give(t, KEY, 1, "b.key", t->keys[1]);
	assert_false(check(t));
	assert_string_equal(t->why, "a.pem and b.key: the certificate is of "
	    "another key");
}

static void
test_halves(void **state)
{
	struct test *t = *state;

	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 1, "a.pem", t->certs[0]);
	assert_false(check(t));
	assert_string_equal(t->why, "a.pem: its key did not come");
	pairs_begin(t->pairs, slice_str(""));
	give(t, KEY, 2, "b.key", t->keys[1]);
	assert_false(check(t));
	assert_string_equal(t->why, "b.key: its certificate did not come");
	pairs_begin(t->pairs, slice_str(""));
	give(t, KEY, 1, "a.pem", t->certs[0]);
	assert_false(check(t));
	assert_string_equal(t->why, "a.pem: no private key in PEM form");
	pairs_begin(t->pairs, slice_str(""));
	give(t, KEY, TLSKEY_SELF, "z.key", t->keys[0]);
	assert_false(check(t));
	assert_string_equal(t->why, "z.key: one pair too many");
}

/* What is in force stays until the next is committed. */
static void
test_bad_reload(void **state)
{
	struct test *t = *state;

	test_two(state);
	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 1, "a.pem", t->certs[1]);
	give(t, KEY, 1, "a.key", t->keys[0]);
	assert_false(check(t));
	pairs_begin(t->pairs, slice_str(""));
	assert_true(signs(t, 1));
	assert_true(signs(t, 2));
	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 2, "b.pem", t->certs[1]);
	give(t, KEY, 2, "b.key", t->keys[1]);
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 0);
	assert_false(signs(t, 1));
	assert_true(signs(t, 2));
}

static unsigned int certs;
static uint8_t first[8192];
static size_t nfirst;

static void
on_cert(const struct msg *m, void *arg)
{
	(void)arg;
	if (m->type != M_KEY_CERT)
		return;
	assert_int_equal(m->u.key_cert.key, TLSKEY_SELF);
	if (certs++ == 0) {
		nfirst = m->u.key_cert.der.n;
		memcpy(first, m->u.key_cert.der.p, nfirst);
		return;
	}
	assert_int_equal(m->u.key_cert.der.n, nfirst);
	assert_memory_equal(m->u.key_cert.der.p, first, nfirst);
}

/* A reload keeps it; a worker that comes later is told of the same. */
static void
test_self_signed(void **state)
{
	struct test *t = *state;
	struct keyside *s = &t->world->side[0];
	unsigned int i;

	certs = 0;
	s->seen = on_cert;
	for (i = 0; i < 2; i++) {
		pairs_begin(t->pairs, slice_str("127.0.0.1"));
		assert_true(check(t));
		pairs_commit(t->pairs, t->world->keyd, 0);
		keyworld_settle(t->world);
		assert_true(signs(t, TLSKEY_SELF));
	}
	assert_int_equal(certs, 2);
	pairs_begin(t->pairs, slice_str(""));
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 0);
	assert_false(signs(t, TLSKEY_SELF));
}

static void
swap_at(struct test *t, unsigned int epoch, int first_pair)
{
	int a = first_pair, b = 1 - first_pair;

	pairs_begin(t->pairs, slice_str(""));
	give(t, CERT, 1, "a.pem", t->certs[a]);
	give(t, KEY, 1, "a.key", t->keys[a]);
	give(t, CERT, 2, "b.pem", t->certs[b]);
	give(t, KEY, 2, "b.key", t->keys[b]);
	assert_true(check(t));
	keyd_signer_next(t->world->keyd, pairs_staged(t->pairs), epoch);
}

/* Number 1 of this epoch signs, with the key of this pair. */
static bool
is_key(struct test *t, unsigned int epoch, int pair)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = signs(t, (epoch & 0x3ff) << 6 | 1);

	assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL,
	    t->key[pair]), 1);
	ok = ok && EVP_DigestVerify(md, sig, nsig, signed_, sizeof(signed_))
	    == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

/* Numbers change their files at a reload: each epoch has its own. */
static void
test_epochs(void **state)
{
	struct test *t = *state;

	swap_at(t, 1025, 0);
	pairs_commit(t->pairs, t->world->keyd, 1025);
	assert_true(is_key(t, 1025, 0));
	assert_false(signs(t, 1));	/* of epoch 0 */
	/* A worker that is faster than we are, and one that is not. */
	swap_at(t, 1026, 1);
	assert_true(is_key(t, 1026, 1));
	assert_true(is_key(t, 1025, 0));
	pairs_commit(t->pairs, t->world->keyd, 1026);
	assert_true(is_key(t, 1026, 1));
	assert_true(is_key(t, 1025, 0));
	/* One that is thrown away was never there. */
	swap_at(t, 1027, 0);
	keyd_signer_next(t->world->keyd, NULL, 0);
	pairs_begin(t->pairs, slice_str(""));
	assert_false(signs(t, (1027 & 0x3ff) << 6 | 1));
	swap_at(t, 1028, 0);
	pairs_commit(t->pairs, t->world->keyd, 1028);
	assert_true(is_key(t, 1028, 0));
	assert_true(is_key(t, 1026, 1));
	assert_false(signs(t, (1025 & 0x3ff) << 6 | 1));
}

static size_t	last_cert = 1;

static void
on_any_cert(const struct msg *m, void *arg)
{
	(void)arg;
	if (m->type == M_KEY_CERT)
		last_cert = m->u.key_cert.der.n;
}

/* What was staged and not committed changes nothing; none is said, too. */
static void
test_self_commit(void **state)
{
	struct test *t = *state;

	t->world->side[0].seen = on_any_cert;
	pairs_begin(t->pairs, slice_str("a.example"));
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 1);
	keyworld_settle(t->world);
	assert_true(signs(t, TLSKEY_SELF));
	assert_false(signs(t, 1 << 6 | TLSKEY_SELF));
	certs = 0;
	t->world->side[0].seen = on_cert;
	pairs_begin(t->pairs, slice_str("a.example"));
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 2);
	keyworld_settle(t->world);
	assert_int_equal(certs, 1);
	pairs_begin(t->pairs, slice_str("b.example"));
	assert_true(check(t));
	pairs_begin(t->pairs, slice_str("a.example"));	/* on second thoughts */
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 3);
	keyworld_settle(t->world);
	assert_int_equal(certs, 2);	/* on_cert(): the same */
	t->world->side[0].seen = on_any_cert;
	pairs_begin(t->pairs, slice_str(""));
	assert_true(check(t));
	pairs_commit(t->pairs, t->world->keyd, 4);
	keyworld_settle(t->world);
	assert_int_equal(last_cert, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two),
		TEST(test_mismatch),
		TEST(test_halves),
		TEST(test_bad_reload),
		TEST(test_self_signed),
		TEST(test_epochs),
		TEST(test_self_commit)
	};

	if (noise_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
