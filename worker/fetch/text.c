#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "common/ip.h"
#include "worker/fetch/ask.h"
#include "worker/fetch/text.h"

#define RETRY_MAX	(30 * 24 * 3600)
#define DATE_LEN	29	/* "Sun, 06 Nov 1994 08:49:37 GMT" */

void
text_clean(char *dst, size_t n, struct slice s)
{
	size_t at = 0, i = 0, len;

	while (i < s.n) {
		len = utf8_len(s.p + i, s.n - i);
		if (at + (len == 0 ? 1 : len) >= n)
			break;
		if (len == 1 && ((unsigned char)s.p[i] < ' ' ||
		    s.p[i] == 0x7f))
			dst[at++] = ' ';
		else if (len == 0)
			dst[at++] = '?';
		else {
			memcpy(dst + at, s.p + i, len);
			at += len;
		}
		i += len == 0 ? 1 : len;
	}
	dst[at] = '\0';
}

bool
text_url_ok(struct slice s)
{
	size_t i;

	if (s.n > ASK_URL_MAX || !slice_prefix(s, "https://"))
		return false;
	for (i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return s.n > 8 && strchr("/:?#@", s.p[8]) == NULL;
}

bool
text_b64url_ok(struct slice s)
{
	size_t i;
	char c;

	for (i = 0; i < s.n; i++) {
		c = s.p[i];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    (c >= '0' && c <= '9') || c == '-' || c == '_'))
			return false;
	}
	return s.n > 0;
}

bool
text_name_ok(struct slice s)
{
	struct ip ip;

	return dns_name_ok(s) || ip_parse(&ip, s);
}

bool
text_name_eq(struct slice a, struct slice b)
{
	struct ip x, y;

	if (ip_parse(&x, a))
		return ip_parse(&y, b) && ip_eq(&x, &y);
	return a.n == b.n && strncasecmp(a.p, b.p, a.n) == 0;
}

/* IMF-fixdate, the one form that RFC 9110 lets senders use. */
static bool
http_date(int64_t *at, const char *s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	char iso[32], name[4];
	const char *m;

	if (strlen(s) != DATE_LEN || strcmp(s + 25, " GMT") != 0)
		return false;
	(void)strlcpy(name, s + 8, sizeof(name));
	if ((m = strstr(months, name)) == NULL || (m - months) % 3 != 0)
		return false;
	(void)snprintf(iso, sizeof(iso), "%.4s-%02d-%.2sT%.8sZ", s + 12,
	    (int)(m - months) / 3 + 1, s + 5, s + 17);
	return time_parse(at, slice_str(iso));
}

uint32_t
text_retry_after(const char *s, int64_t now)
{
	const char *why = NULL;
	int64_t at;

	if (s[0] >= '0' && s[0] <= '9') {
		at = strtonum(s, 0, RETRY_MAX, &why);
		if (why == NULL)
			return (uint32_t)at;
		return strspn(s, "0123456789") == strlen(s) ? RETRY_MAX : 0;
	}
	if (!http_date(&at, s) || at <= now)
		return 0;
	return at - now > RETRY_MAX ? RETRY_MAX : (uint32_t)(at - now);
}
