package vm_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/wasmerio/go-ext-wasm/wasmer"
	"github.com/wasmerio/go-ext-wasm/wasmer/vm"
)

func TestF006F007F008LevelsOfTheLog(t *testing.T) {
	var level slog.LevelVar
	var out bytes.Buffer
	v := newVM(t, vm.Config{
		Statistics: vm.StatisticsConfig{Instructions: true},
		Engine:     wasmer.EngineConfig{Logger: slog.New(vm.NewLogHandler(&out, &level))},
	})
	succeed := func() { require.NoError(t, second(v.RunBytes(background, fibonacci, "fib", 3))) }
	fail := func() {
		require.Error(t, second(v.RunBytes(background, []byte(`(module (func (export "f") unreachable))`), "f")))
	}

	level.Set(vm.LogError)
	succeed()
	require.Empty(t, out.String(), "errors only")
	fail()
	require.Contains(t, out.String(), "[error] execution failed: unreachable, Code: 0x89\n")
	require.NotContains(t, out.String(), "[debug]")

	out.Reset()
	level.Set(vm.LogOff)
	fail()
	require.Empty(t, out.String(), "nothing")

	level.Set(vm.LogDebug)
	succeed()
	require.Contains(t, out.String(), "[debug]  Execution succeeded.\n")
}

func TestF006ErrorsAreTheDefault(t *testing.T) {
	handler := vm.NewLogHandler(&bytes.Buffer{}, nil)
	require.True(t, handler.Enabled(background, slog.LevelError))
	require.False(t, handler.Enabled(background, slog.LevelWarn))
}

func TestF009LinesOfTheLog(t *testing.T) {
	when := time.Date(2022, 8, 26, 15, 6, 40, 384_000_000, time.UTC)
	for name, row := range map[string]struct {
		level   slog.Level
		message string
		attrs   []slog.Attr
		want    string
	}{
		"user": {
			slog.LevelError, "execution failed",
			[]slog.Attr{slog.String("function", "trap"), slog.Any("error", wasmer.UserError(5566))},
			"[2022-08-26 15:06:40.384] [error] user defined failed: user defined error code, Code: 0x15be\n" +
				"[2022-08-26 15:06:40.384] [error]     When executing function name: \"trap\"\n",
		},
		"limit": {
			slog.LevelError, "Cost exceeded limit. Force terminate the execution.", []slog.Attr{slog.Any("error", wasmer.ErrorCode(3))},
			"[2022-08-26 15:06:40.384] [error] Cost exceeded limit. Force terminate the execution.\n" +
				"[2022-08-26 15:06:40.384] [error] wasmedge runtime failed: cost limit exceeded, Code: 0x03\n",
		},
		"any error": {
			slog.LevelError, "execution failed", []slog.Attr{slog.Any("error", errors.New("one\ntwo\x1b[31m\u009b1m\u2028"))},
			"[2022-08-26 15:06:40.384] [error] wasmedge runtime failed: generic runtime error, Code: 0x02\n" +
				"[2022-08-26 15:06:40.384] [error]     one\n[2022-08-26 15:06:40.384] [error]     two?[31m?1m?\n",
		},
		"success": {slog.LevelDebug, "Execution succeeded.", nil, "[2022-08-26 15:06:40.384] [debug]  Execution succeeded.\n"},
		"others": {
			slog.LevelWarn, "growth refused", []slog.Attr{slog.Int("times", 2)},
			"[2022-08-26 15:06:40.384] [warning] growth refused: times=2\n",
		},
		"statistics": {
			slog.LevelDebug, "statistics", []slog.Attr{slog.Any("statistics", wasmer.InstanceStats{Instructions: 5})},
			"[2022-08-26 15:06:40.384] [debug]\n ====================  Statistics  ====================\n Total execution time: 0 ns\n" +
				" Wasm instructions execution time: 0 ns\n Host functions execution time: 0 ns\n" +
				" Executed wasm instructions count: 5\n Gas costs: 0\n Instructions per second: 0\n",
		},
	} {
		var out bytes.Buffer
		record := slog.NewRecord(when, row.level, row.message, 0)
		record.AddAttrs(row.attrs...)
		require.NoError(t, vm.NewLogHandler(&out, vm.LogDebug).Handle(background, record))
		require.Equal(t, row.want, out.String(), name)
	}
}

func TestF009AttributesAndGroups(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(vm.NewLogHandler(&out, vm.LogDebug))
	logger.With("a", 1).WithGroup("g").With("b", 2).Info("hello", "c", 3)
	logger.Info("plain")
	lines := strings.Split(out.String(), "\n")
	require.Regexp(t, regexp.MustCompile(`^\[[-0-9]{10} [:0-9]{8}\.[0-9]{3}\] \[info\] hello: a=1 g\.b=2 g\.c=3$`), lines[0])
	require.Contains(t, lines[1], "[info] plain")
}

func TestF009LinesOfSeveralGoroutinesAreNotMixed(t *testing.T) {
	var out bytes.Buffer
	logger := slog.New(vm.NewLogHandler(&out, vm.LogError))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				logger.With("x", 1).LogAttrs(context.Background(), slog.LevelError, "execution failed",
					slog.String("function", "f"), slog.Any("error", wasmer.ErrFail))
			}
		})
	}
	wait.Wait()
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	require.Len(t, lines, 800)
	for i := 0; i < len(lines); i += 2 {
		require.Contains(t, lines[i], "Code: 0x02")
		require.Contains(t, lines[i+1], "When executing")
	}
}
