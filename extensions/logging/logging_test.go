package logging_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/wasmerio/go-ext-wasm/extensions/internal/hostile"
	"github.com/wasmerio/go-ext-wasm/extensions/logging"
	"github.com/wasmerio/go-ext-wasm/wasmer"
)

const program = `(module
	(import "wasi:logging/logging" "log" (func $log (param i32 i32 i32 i32 i32)))
	(memory (export "memory") 1)
	(data (i32.const 0) "shop")
	(data (i32.const 16) "an order")
	(func (export "order") (param $level i32)
		(call $log (local.get $level) (i32.const 0) (i32.const 4) (i32.const 16) (i32.const 8))))`

// records is a handler that keeps what it is told from a level on.
type records struct {
	from slog.Level

	mu   sync.Mutex
	kept []string
}

func (r *records) Enabled(_ context.Context, level slog.Level) bool { return level >= r.from }

func (r *records) Handle(_ context.Context, record slog.Record) error {
	line := fmt.Sprintf("%d %s", int(record.Level), record.Message)
	record.Attrs(func(attribute slog.Attr) bool {
		line += " " + attribute.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept = append(r.kept, line)
	return nil
}

func (r *records) WithAttrs([]slog.Attr) slog.Handler { return r }
func (r *records) WithGroup(string) slog.Handler      { return r }

// take gives what was told since the last time.
func (r *records) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.kept
	r.kept = nil
	return kept
}

func TestMessagesHaveLevels(t *testing.T) {
	records := &records{from: logging.LevelTrace}
	module, err := wasmer.Compile([]byte(program))
	require.NoError(t, err)
	defer module.Close()
	imports := wasmer.NewImports().Add(logging.New(logging.Config{Logger: slog.New(records)}))
	instance, err := wasmer.Instantiate(t.Context(), module, imports)
	require.NoError(t, err)
	defer instance.Close()
	order, err := wasmer.Func1[int32, wasmer.Void](instance, "order")
	require.NoError(t, err)
	for level, want := range []slog.Level{-8, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError, 12} {
		_, err := order(t.Context(), int32(level))
		require.NoError(t, err)
		require.Equal(t, []string{fmt.Sprintf("%d an order context=shop", int(want))}, records.take())
	}
	for _, level := range []int32{6, -1} {
		_, err := order(t.Context(), level)
		require.ErrorIs(t, err, logging.ErrLevel)
	}
	records.from = slog.LevelWarn
	for level := range int32(6) {
		_, err := order(t.Context(), level)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"4 an order context=shop", "8 an order context=shop", "12 an order context=shop"}, records.take())
}

func TestMessagesAreTexts(t *testing.T) {
	records := &records{}
	guest := hostile.New(t, program, wasmer.NewImports().Add(logging.New(logging.Config{Logger: slog.New(records), MaxMessage: 20})))
	for name, test := range map[string]struct{ context, message, want string }{
		"nothing":             {"", "", "0 "},
		"no context":          {"", "message", "0 message"},
		"lines":               {"a\nb", "one\ntwo", "0 one\ntwo context=a\nb"},
		"letters":             {"ü", "日本", "0 日本 context=ü"},
		"no UTF-8":            {"\xff", "a\xc3", "0 a\uFFFD context=\uFFFD"},
		"as long as allowed":  {strings.Repeat("c", 20), strings.Repeat("m", 20), "0 " + strings.Repeat("m", 20) + " context=" + strings.Repeat("c", 20)},
		"longer":              {strings.Repeat("c", 21), strings.Repeat("m", 30), "0 " + strings.Repeat("m", 20) + " context=" + strings.Repeat("c", 20) + " lost=11"},
		"cut within a letter": {"", strings.Repeat("m", 19) + "ü", "0 " + strings.Repeat("m", 19) + "\uFFFD lost=1"},
	} {
		t.Run(name, func(t *testing.T) {
			context, contextLength := guest.Put(t, 100, test.context)
			message, length := guest.Put(t, 1000, test.message)
			_, err := guest.Call(t, "log", 2, context, contextLength, message, length)
			require.NoError(t, err)
			require.Equal(t, []string{test.want}, records.take())
		})
	}
}

// That a message lies outside of memory does not depend on who listens.
func TestMessagesOutsideOfMemoryAreErrors(t *testing.T) {
	for _, from := range []slog.Level{logging.LevelTrace, 100} {
		records := &records{from: from}
		guest := hostile.New(t, program, wasmer.NewImports().Add(logging.New(logging.Config{Logger: slog.New(records)})))
		end := int32(guest.Memory.Size())
		for _, places := range [][4]int32{{0, 0, end, 1}, {0, 0, 0, end + 1}, {0, 0, -1, -1}, {end, 1, 0, 0}, {-1, -1, 0, 0}, {0, -1, 0, 1}} {
			_, err := guest.Call(t, "log", 2, places[0], places[1], places[2], places[3])
			require.ErrorIs(t, err, wasmer.ErrOutOfBounds, "%v", places)
		}
		require.Empty(t, records.take())
		_, err := guest.Call(t, "log", 2, end, 0, 0, end)
		require.NoError(t, err)
	}
}

func TestMessagesTellWhoseTheyAre(t *testing.T) {
	records := &records{}
	store, err := wasmer.NewStore(nil)
	require.NoError(t, err)
	defer store.Close()
	module, err := wasmer.Compile([]byte(program))
	require.NoError(t, err)
	defer module.Close()
	imports := wasmer.NewImports().Add(logging.New(logging.Config{Logger: slog.New(records)}))
	for _, name := range []string{"first", "second"} {
		instance, err := store.Instantiate(t.Context(), name, module, imports)
		require.NoError(t, err)
		order, err := wasmer.Func1[int32, wasmer.Void](instance, "order")
		require.NoError(t, err)
		_, err = order(t.Context(), 3)
		require.NoError(t, err)
		require.Equal(t, []string{"4 an order context=shop module=" + name}, records.take())
	}
}

func TestMessagesGoToTheDefaultLogger(t *testing.T) {
	before := slog.Default()
	defer slog.SetDefault(before)
	records := &records{}
	slog.SetDefault(slog.New(records))
	guest := hostile.New(t, program, wasmer.NewImports().Add(logging.New(logging.Config{})))
	message, length := guest.Put(t, 0, "hello")
	_, err := guest.Call(t, "log", 4, 0, 0, message, length)
	require.NoError(t, err)
	require.Equal(t, []string{"8 hello"}, records.take())
}

func TestHostileGuests(t *testing.T) {
	const limit = 100
	records := &records{}
	hostile.Fuzz(t, hostile.Config{
		Program: program,
		Imports: wasmer.NewImports().Add(logging.New(logging.Config{Logger: slog.New(records), MaxMessage: limit})),
		Data:    []string{"message", "ctx"},
		Refused: func(_ string, err error) error {
			if errors.Is(err, wasmer.ErrOutOfBounds) || errors.Is(err, wasmer.ErrClosed) || errors.Is(err, logging.ErrLevel) {
				return nil
			}
			return err
		},
	})
	lines := records.take()
	require.NotEmpty(t, lines)
	for _, line := range lines {
		require.Less(t, len(line), 2*3*limit+100, "an invalid byte becomes three")
	}
}
