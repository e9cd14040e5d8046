/* Files of TLS keys and certificates, as root's configuration names them. */

#include <stdint.h>
#include <stdio.h>

#include "keyd/signer.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct signer *s = signer_new();
	char why[128];

	(void)signer_add(s, 1, (const char *)p, n, why, sizeof(why));
	(void)signer_fits(s, 1, (const char *)p, n, why, sizeof(why));
	signer_free(s);
	return 0;
}
