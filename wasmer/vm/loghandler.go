package vm

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/wasmerio/go-ext-wasm/wasmer"
)

// Levels for NewLogHandler.
const (
	LogDebug = slog.LevelDebug
	LogError = slog.LevelError
	// LogOff is above all levels.
	LogOff = slog.Level(math.MaxInt32)
)

// NewLogHandler makes a handler for wasmer.EngineConfig.Logger or wasmer.SetLogger that writes lines as WasmEdge does:
//
//	[2022-08-26 15:06:40.384] [error] user defined failed: user defined error code, Code: 0x15be
//	[2022-08-26 15:06:40.384] [error]     When executing function name: "trap"
//
// A line is one Write, and records of several goroutines are not mixed. The level is asked for each record, so that a
// *slog.LevelVar changes it; nil is LogError.
func NewLogHandler(w io.Writer, level slog.Leveler) slog.Handler {
	if level == nil {
		level = LogError
	}
	return &logHandler{level: level, out: &logOutput{w: w}}
}

type logHandler struct {
	level slog.Leveler
	out   *logOutput
	// attrs are those of WithAttrs, groups the names of WithGroup.
	attrs  []slog.Attr
	groups []string
}

// logOutput is shared by handlers that were made from one.
type logOutput struct {
	mu sync.Mutex
	w  io.Writer
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	made := *h
	made.attrs = slices.Clone(h.attrs)
	for _, attr := range attrs {
		made.attrs = append(made.attrs, h.named(attr))
	}
	return &made
}

func (h *logHandler) WithGroup(name string) slog.Handler {
	made := *h
	made.groups = append(slices.Clone(h.groups), name)
	return &made
}

// named puts the groups before the name of an attribute.
func (h *logHandler) named(attr slog.Attr) slog.Attr {
	attr.Key = strings.Join(append(slices.Clone(h.groups), attr.Key), ".")
	return attr
}

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	attrs := slices.Clone(h.attrs)
	record.Attrs(func(attr slog.Attr) bool {
		attrs = append(attrs, h.named(attr))
		return true
	})
	head := fmt.Sprintf("[%s] [%s]", record.Time.Format("2006-01-02 15:04:05.000"), levelName(record.Level))
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	for _, line := range logLines(record.Message, attrs) {
		if _, err := io.WriteString(h.out.w, head+line+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func levelName(level slog.Level) string {
	switch {
	case level < slog.LevelInfo:
		return "debug"
	case level < slog.LevelWarn:
		return "info"
	case level < slog.LevelError:
		return "warning"
	}
	return "error"
}

// succeeded is the message of a call that has succeeded.
const succeeded = "Execution succeeded."

// failures are the messages that the line of the error's code says again.
var failures = []string{"execution failed", "instantiation failed", "compilation failed", "deserialization failed"}

// logLines are what follows the head of each line.
func logLines(message string, attrs []slog.Attr) []string {
	var lines, rest []string
	var failure error
	function := ""
	for _, attr := range attrs {
		switch value := attr.Value.Resolve().Any().(type) {
		case wasmer.InstanceStats:
			return []string{"\n" + strings.TrimSuffix(value.Report(), "\n")}
		case error:
			failure = value
			continue
		case string:
			if attr.Key == "function" {
				function = value
				continue
			}
		}
		rest = append(rest, attr.String())
	}
	switch {
	case message == succeeded:
		return []string{"  " + message}
	case failure == nil && len(rest) == 0:
		return []string{" " + oneLine(message)}
	case failure == nil:
		return []string{" " + oneLine(message+": "+strings.Join(rest, " "))}
	case !slices.Contains(failures, message):
		lines = append(lines, " "+oneLine(message))
	}
	code := wasmer.CodeOf(failure)
	lines = append(lines, fmt.Sprintf(" %s failed: %s, Code: 0x%02x", code.Phase(), code.Error(), code.Code()))
	if text := failure.Error(); text != code.Error() {
		for line := range strings.SplitSeq(text, "\n") {
			lines = append(lines, "     "+oneLine(strings.ReplaceAll(line, "\t", "    ")))
		}
	}
	if function != "" {
		lines = append(lines, fmt.Sprintf("     When executing function name: %q", function))
	}
	return lines
}

// oneLine keeps what guests have chosen from looking like other lines.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r) || r == '\u2028' || r == '\u2029': // of the second half too, which terminals obey
			return '?'
		}
		return r
	}, text)
}
