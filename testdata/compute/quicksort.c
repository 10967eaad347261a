// Sorts size numbers, up to a million: quicksort by the median of three, short runs by insertion.
#include "compute.h"

#define MAX 1000000

static uint32_t numbers[MAX];

static void swap(uint32_t *a, uint32_t *b)
{
	uint32_t x = *a;
	*a = *b;
	*b = x;
}

static void insertion(uint32_t *from, uint32_t *to)
{
	for (uint32_t *at = from + 1; at < to; at++) {
		uint32_t x = *at, *p = at;
		for (; p > from && p[-1] > x; p--)
			*p = p[-1];
		*p = x;
	}
}

static void sort(uint32_t *from, uint32_t *to)
{
	while (to - from > 16) {
		uint32_t *middle = from + (to - from) / 2, *last = to - 1;
		if (*middle < *from)
			swap(middle, from);
		if (*last < *from)
			swap(last, from);
		if (*last < *middle)
			swap(last, middle);
		uint32_t pivot = *middle, *low = from, *high = last;
		while (low <= high) {
			while (*low < pivot)
				low++;
			while (*high > pivot)
				high--;
			if (low <= high)
				swap(low++, high--);
		}
		// The shorter part by a call, so that the stack stays short.
		if (high + 1 - from < to - low) {
			sort(from, high + 1);
			from = low;
		} else {
			sort(low, to);
			to = high + 1;
		}
	}
	insertion(from, to);
}

RUN
{
	uint32_t n = size < MAX ? size : MAX, state = 1;
	for (uint32_t i = 0; i < n; i++)
		numbers[i] = next(&state);
	sort(numbers, numbers + n);
	uint64_t sum = CHECKSUM_START;
	for (uint32_t i = 0; i < n; i++)
		sum = checksum(sum, i && numbers[i] < numbers[i - 1] ? 0 : numbers[i]);
	return sum;
}
