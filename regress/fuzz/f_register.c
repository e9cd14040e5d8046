/*
 * A body of /machine/register: refused with a text, or a message for dbd that
 * is within the table's bounds.
 */

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "worker/control/parse.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
must(bool ok)
{
	if (!ok)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct regreq q;
	struct msg m, back;
	struct buf b = { 0 }, again = { 0 };
	const char *why = NULL;

	if (regreq_parse(&q, slice_mem(p, n), &why) == -1) {
		must(why != NULL && why[0] != '\0');
		regreq_free(&q);
		return 0;
	}
	must(!key_is_zero(q.reg.node_key));
	must(q.reg.has_auth == (q.reg.auth_key.n != 0));
	must(q.reg.has_expiry == (q.reg.expiry != 0));
	msg_init(&m, M_DB_REG);
	m.u.db_reg = q.reg;
	msg_encode(&b, &m);
	regreq_free(&q);
	must(msg_decode(&back, M_DB_REG, b.p, b.n) == 0);
	msg_encode(&again, &back);
	must(b.n == again.n && memcmp(b.p, again.p, b.n) == 0);
	buf_free(&b);
	buf_free(&again);
	return 0;
}
