package inference

import "fmt"

// Table gives numbers to what one instance of a guest holds. A number is not given again.
type Table[T any] struct {
	next    uint32
	entries map[uint32]T
}

// Add keeps a value, if fewer than limit are kept.
func (t *Table[T]) Add(value T, limit int) (uint32, error) {
	if len(t.entries) >= limit || t.next == 1<<32-1 {
		return 0, fmt.Errorf("%w: the guest already holds %d of these", ErrTooLarge, len(t.entries))
	}
	if t.entries == nil {
		t.entries = map[uint32]T{}
	}
	t.next++
	t.entries[t.next] = value
	return t.next, nil
}

// Get is the value of a number.
func (t *Table[T]) Get(number uint32) (T, error) {
	value, ok := t.entries[number]
	if !ok {
		return value, fmt.Errorf("%w: there is no handle %d", ErrInvalid, number)
	}
	return value, nil
}

// Remove forgets the value of a number.
func (t *Table[T]) Remove(number uint32) { delete(t.entries, number) }
