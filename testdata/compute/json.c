// Writes a JSON text of size records, up to 20000, parses it into a tree (RFC 8259), and walks the tree.
#include "compute.h"

#define TEXT (8u << 20)
#define NODES (1u << 19)
#define STRINGS (4u << 20)

enum kind { NUL, FALSE, TRUE, NUMBER, STRING, ARRAY, OBJECT };

struct node {
	enum kind kind;
	uint32_t next;   // of the same array or object; 0 for the last
	uint32_t first;  // an array's or object's
	uint32_t key;    // of a member: where in strings
	uint32_t text;   // a string: where in strings
	double number;
};

static char text[TEXT];
static uint32_t length;
static struct node nodes[NODES];
static uint32_t used;
static char strings[STRINGS];
static uint32_t stored;

static void put(char c)
{
	text[length++] = c;
}

static void put_text(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_number(uint32_t n)
{
	char digits[10];
	int count = 0;
	do
		digits[count++] = (char)('0' + n % 10);
	while (n /= 10);
	while (count)
		put(digits[--count]);
}

static void put_word(uint32_t *state)
{
	static const char *const pieces[] = { "ka", "ro", "mi", "\\n", "te", "\\u00e9", "su", "\\\"", "no", "\\u20ac", "li", "\\\\" };
	put('"');
	for (uint32_t n = next(state) % 6 + 1; n; n--)
		put_text(pieces[next(state) % 12]);
	put('"');
}

static void put_record(uint32_t id, uint32_t *state)
{
	put_text("{\"id\": ");
	put_number(id);
	put_text(", \"name\": ");
	put_word(state);
	put_text(", \"price\": ");
	if (next(state) & 1)
		put('-');
	put_number(next(state) % 100000);
	put('.');
	put_number(next(state) % 1000);
	if (next(state) % 4 == 0) {
		put_text("e-");
		put_number(next(state) % 8);
	}
	put_text(next(state) & 1 ? ", \"sold\": true" : ", \"sold\": false");
	put_text(", \"note\": null, \"tags\": [");
	for (uint32_t n = next(state) % 5, i = 0; i < n; i++) {
		if (i)
			put_text(", ");
		put_word(state);
	}
	put_text("],\n  \"place\": {\"x\": ");
	put_number(next(state) % 1000);
	put_text(", \"y\": ");
	put_number(next(state) % 1000);
	put_text("}}");
}

// Where the parser is, and whether all was well up to there.
struct parser {
	const char *at;
	int failed;
};

static void skip(struct parser *p)
{
	while (*p->at == ' ' || *p->at == '\n' || *p->at == '\t' || *p->at == '\r')
		p->at++;
}

static int take(struct parser *p, char c)
{
	if (*p->at != c)
		return 0;
	p->at++;
	return 1;
}

static void expect(struct parser *p, const char *word)
{
	while (*word)
		if (!take(p, *word++))
			p->failed = 1;
}

static uint32_t hex(struct parser *p)
{
	uint32_t value = 0;
	for (int i = 0; i < 4; i++) {
		char c = *p->at++;
		uint32_t digit = c >= '0' && c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 32) - 'a' + 10);
		if (digit > 15)
			p->failed = 1;
		value = value << 4 | digit;
	}
	return value;
}

static void store_utf8(uint32_t rune)
{
	if (rune < 0x80) {
		strings[stored++] = (char)rune;
	} else if (rune < 0x800) {
		strings[stored++] = (char)(0xc0 | rune >> 6);
		strings[stored++] = (char)(0x80 | (rune & 0x3f));
	} else {
		strings[stored++] = (char)(0xe0 | rune >> 12);
		strings[stored++] = (char)(0x80 | (rune >> 6 & 0x3f));
		strings[stored++] = (char)(0x80 | (rune & 0x3f));
	}
}

static uint32_t string(struct parser *p)
{
	uint32_t start = stored;
	if (!take(p, '"'))
		p->failed = 1;
	while (!p->failed) {
		char c = *p->at++;
		if (c == '"')
			break;
		if ((unsigned char)c < ' ' || stored + 4 > STRINGS) {
			p->failed = 1;
		} else if (c != '\\') {
			strings[stored++] = c;
		} else {
			switch (c = *p->at++) {
			case '"':
			case '\\':
			case '/': strings[stored++] = c; break;
			case 'b': strings[stored++] = '\b'; break;
			case 'f': strings[stored++] = '\f'; break;
			case 'n': strings[stored++] = '\n'; break;
			case 'r': strings[stored++] = '\r'; break;
			case 't': strings[stored++] = '\t'; break;
			case 'u': store_utf8(hex(p)); break;
			default: p->failed = 1;
			}
		}
	}
	strings[stored++] = 0;
	return start;
}

static int digit(char c)
{
	return c >= '0' && c <= '9';
}

// Not rounded as well as it could be, but the same everywhere.
static double number(struct parser *p)
{
	int negative = take(p, '-'), exponent = 0;
	double value = 0;
	if (!digit(*p->at))
		p->failed = 1;
	while (digit(*p->at))
		value = value * 10 + (*p->at++ - '0');
	if (take(p, '.'))
		for (; digit(*p->at); exponent--)
			value = value * 10 + (*p->at++ - '0');
	if (*p->at == 'e' || *p->at == 'E') {
		p->at++;
		int below = take(p, '-'), by = 0;
		if (!below)
			take(p, '+');
		while (digit(*p->at) && by < 1000)
			by = by * 10 + (*p->at++ - '0');
		exponent += below ? -by : by;
	}
	for (; exponent < 0; exponent++)
		value /= 10;
	for (; exponent > 0; exponent--)
		value *= 10;
	return negative ? -value : value;
}

static uint32_t value(struct parser *p);

// The elements up to the closing bracket, as a list.
static uint32_t list(struct parser *p, char closing)
{
	uint32_t first = 0, last = 0;
	skip(p);
	if (take(p, closing))
		return 0;
	do {
		uint32_t key = 0;
		skip(p);
		if (closing == '}') {
			key = string(p);
			skip(p);
			expect(p, ":");
		}
		uint32_t element = value(p);
		nodes[element].key = key;
		if (last)
			nodes[last].next = element;
		else
			first = element;
		last = element;
		skip(p);
	} while (!p->failed && take(p, ','));
	if (!take(p, closing))
		p->failed = 1;
	return first;
}

static uint32_t value(struct parser *p)
{
	skip(p);
	if (used >= NODES - 1)
		p->failed = 1;
	if (p->failed)
		return 0;
	uint32_t index = ++used;
	struct node n = { NUL, 0, 0, 0, 0, 0 };
	switch (*p->at) {
	case 'n': expect(p, "null"); break;
	case 'f': n.kind = FALSE; expect(p, "false"); break;
	case 't': n.kind = TRUE; expect(p, "true"); break;
	case '"': n.kind = STRING; n.text = string(p); break;
	case '[': p->at++; n.kind = ARRAY; n.first = list(p, ']'); break;
	case '{': p->at++; n.kind = OBJECT; n.first = list(p, '}'); break;
	default: n.kind = NUMBER; n.number = number(p);
	}
	nodes[index] = n;
	return index;
}

static uint64_t sum_text(uint64_t sum, uint32_t at)
{
	for (const char *s = strings + at; *s; s++)
		sum = checksum(sum, (unsigned char)*s);
	return sum;
}

static uint64_t walk(uint64_t sum, uint32_t index)
{
	for (; index; index = nodes[index].next) {
		const struct node *n = nodes + index;
		sum = checksum(sum, n->kind);
		if (n->key)
			sum = sum_text(sum, n->key);
		if (n->kind == NUMBER)
			sum = checksum(sum, bits(n->number));
		else if (n->kind == STRING)
			sum = sum_text(sum, n->text);
		else if (n->kind >= ARRAY)
			sum = walk(sum, n->first);
	}
	return sum;
}

RUN
{
	uint32_t state = 1, records = size < 20000 ? size : 20000;
	length = used = 0;
	stored = 1;
	put('[');
	for (uint32_t i = 0; i < records; i++) {
		if (i)
			put_text(",\n ");
		put_record(i, &state);
	}
	put_text("]");
	put(0);
	struct parser p = { text, 0 };
	uint32_t root = value(&p);
	skip(&p);
	return p.failed || *p.at ? 0 : walk(checksum(CHECKSUM_START, length), root);
}
