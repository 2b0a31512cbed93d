// Reads the expressions in the theme's attributes instead of compiling them: the page's policy then needs no 'unsafe-eval',
// so that text which got into a page as a script could not run there. Alpine.js lets its evaluator be replaced for that.
//
// What is understood is the part of JavaScript that the theme's templates use: literals, names, members, calls, assignments,
// operators, `a ? b : c`, `if`, functions of one parameter, and several statements. Anything else is an error on the console, which the tests look for.
"use strict";

(function () {
  const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|([A-Za-z_$][\w$]*)|'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(=>|===|!==|==|!=|<=|>=|&&|\|\||\?\?|[-+*\/%<>=!?:;,.(){}\[\]]))/y;
  // What each binds, the loosest first.
  const LEVELS = [["||", "??"], ["&&"], ["===", "!==", "==", "!="], ["<", ">", "<=", ">="], ["+", "-"], ["*", "/", "%"]];
  const CONSTANTS = { true: true, false: false, null: null, undefined: undefined };
  // Ways from a value to the page's own powers: an attribute that somebody slipped into a page gets none of them.
  const DENIED = new Set(["constructor", "__proto__", "prototype", "ownerDocument", "defaultView", "view", "document",
    "contentWindow", "contentDocument", "getRootNode", "innerHTML", "outerHTML", "insertAdjacentHTML", "srcdoc", "setAttribute"]);
  // The theme's own functions and the few things of the browser that its templates name.
  const THEME = ["theme", "searchForm", "searchDropdown", "searchCommand", "sortRecords", "moveRecords", "getCurrentTab"];

  function globalOf(name) {
    if (THEME.includes(name)) return { value: window[name] };
    if (name === "localStorage") return { value: window.localStorage };
    if (name === "window") return { value: { location: { pathname: window.location.pathname, search: window.location.search } } };
    return null;
  }

  function tokenize(text) {
    const tokens = [];
    TOKEN.lastIndex = 0;
    while (TOKEN.lastIndex < text.length) {
      const start = TOKEN.lastIndex;
      const match = TOKEN.exec(text);
      if (!match) {
        if (!text.slice(start).trim()) break;
        throw new SyntaxError(`not understood: ${text.slice(start)}`);
      }
      const [, number, name, single, double, sign] = match;
      const quoted = single !== undefined ? single : double;
      if (number !== undefined) tokens.push({ kind: "value", value: Number(number) });
      else if (quoted !== undefined) tokens.push({ kind: "value", value: quoted.replace(/\\(.)/g, "$1") });
      else tokens.push(name !== undefined ? { kind: "name", text: name } : { kind: "sign", text: sign });
    }
    return tokens;
  }

  // Each method reads one thing and returns a function of the scope.
  class Parser {
    constructor(text) {
      this.tokens = tokenize(text);
      this.place = 0;
    }

    is(text, kind = "sign") {
      const token = this.tokens[this.place];
      return Boolean(token) && token.kind === kind && token.text === text;
    }

    take(text) {
      if (!this.is(text)) return false;
      this.place += 1;
      return true;
    }

    expect(text) {
      if (!this.take(text)) throw new SyntaxError(`expected ${text}`);
    }

    program(end) {
      const steps = [];
      while (this.place < this.tokens.length && !(end && this.is(end))) {
        if (!this.take(";")) steps.push(this.statement());
      }
      return (scope) => steps.reduce((_last, step) => step(scope), undefined);
    }

    statement() {
      if (!this.is("if", "name")) return this.assignment();
      this.place += 1;
      this.expect("(");
      const condition = this.assignment();
      this.expect(")");
      const then = this.branch();
      let otherwise = () => undefined;
      if (this.is("else", "name")) {
        this.place += 1;
        otherwise = this.branch();
      }
      return (scope) => (condition(scope) ? then(scope) : otherwise(scope));
    }

    branch() {
      if (!this.take("{")) return this.statement();
      const steps = this.program("}");
      this.expect("}");
      return steps;
    }

    assignment() {
      const target = this.choice();
      if (!this.take("=")) return target;
      if (!target.assign) throw new SyntaxError("this cannot be assigned to");
      const value = this.assignment();
      return (scope) => target.assign(scope, value(scope));
    }

    choice() {
      const condition = this.binary(0);
      if (!this.take("?")) return condition;
      const then = this.assignment();
      this.expect(":");
      const otherwise = this.assignment();
      return (scope) => (condition(scope) ? then(scope) : otherwise(scope));
    }

    binary(level) {
      if (level === LEVELS.length) return this.unary();
      let left = this.binary(level + 1);
      for (;;) {
        const sign = LEVELS[level].find((one) => this.is(one));
        if (!sign) return left;
        this.place += 1;
        left = operation(sign, left, this.binary(level + 1));
      }
    }

    unary() {
      if (this.take("!")) {
        const value = this.unary();
        return (scope) => !value(scope);
      }
      if (this.take("-")) {
        const value = this.unary();
        return (scope) => -value(scope);
      }
      return this.postfix();
    }

    postfix() {
      let value = this.primary();
      for (;;) {
        if (this.take(".")) {
          const token = this.tokens[this.place];
          if (!token || token.kind !== "name") throw new SyntaxError("expected a name after the dot");
          this.place += 1;
          value = member(value, () => token.text);
        } else if (this.take("[")) {
          const key = this.assignment();
          this.expect("]");
          value = member(value, key);
        } else if (this.take("(")) {
          value = call(value, this.list(")"));
        } else return value;
      }
    }

    list(end) {
      const values = [];
      while (!this.take(end)) {
        values.push(this.assignment());
        if (!this.is(end)) this.expect(",");
      }
      return values;
    }

    primary() {
      const token = this.tokens[this.place];
      if (!token) throw new SyntaxError("unexpected end");
      this.place += 1;
      if (token.kind === "value") return () => token.value;
      if (token.kind === "name" && this.take("=>")) return arrow(token.text, this.assignment());
      if (token.kind === "name") return Object.hasOwn(CONSTANTS, token.text) ? () => CONSTANTS[token.text] : name(token.text);
      if (token.text === "[") {
        const values = this.list("]");
        return (scope) => values.map((value) => value(scope));
      }
      if (token.text === "{") return this.object();
      if (token.text !== "(") throw new SyntaxError(`unexpected ${token.text}`);
      const inner = this.assignment();
      this.expect(")");
      return inner;
    }

    object() {
      const entries = [];
      while (!this.take("}")) {
        const key = this.tokens[this.place];
        if (!key || key.kind === "sign") throw new SyntaxError("expected the name of a property");
        this.place += 1;
        const label = String(key.kind === "value" ? key.value : key.text);
        entries.push([label, this.take(":") ? this.assignment() : name(label)]);
        if (!this.is("}")) this.expect(",");
      }
      return (scope) => Object.fromEntries(entries.map(([label, value]) => [label, value(scope)]));
    }
  }

  // `value => body`: the body sees the scope, and its one parameter before it.
  function arrow(parameter, body) {
    return (scope) => (value) => body(new Proxy({}, {
      has: (_target, key) => key === parameter || key in scope,
      get: (_target, key) => (key === parameter ? value : scope[key]),
      set: (_target, key, fresh) => Reflect.set(scope, key, fresh),
    }));
  }

  function operation(sign, left, right) {
    switch (sign) {
      case "||": return (scope) => left(scope) || right(scope);
      case "??": return (scope) => left(scope) ?? right(scope);
      case "&&": return (scope) => left(scope) && right(scope);
      case "===": return (scope) => left(scope) === right(scope);
      case "!==": return (scope) => left(scope) !== right(scope);
      case "==": return (scope) => left(scope) == right(scope); // eslint-disable-line eqeqeq
      case "!=": return (scope) => left(scope) != right(scope); // eslint-disable-line eqeqeq
      case "<": return (scope) => left(scope) < right(scope);
      case ">": return (scope) => left(scope) > right(scope);
      case "<=": return (scope) => left(scope) <= right(scope);
      case ">=": return (scope) => left(scope) >= right(scope);
      case "+": return (scope) => left(scope) + right(scope);
      case "-": return (scope) => left(scope) - right(scope);
      case "*": return (scope) => left(scope) * right(scope);
      case "/": return (scope) => left(scope) / right(scope);
      default: return (scope) => left(scope) % right(scope);
    }
  }

  function name(text) {
    const read = (scope) => {
      if (DENIED.has(text)) throw new TypeError(`${text} is not for expressions`);
      if (text in scope) return scope[text];
      const found = globalOf(text);
      if (!found) throw new ReferenceError(`${text} is not defined`);
      return found.value;
    };
    read.assign = (scope, value) => {
      if (DENIED.has(text)) throw new TypeError(`${text} is not for expressions`);
      scope[text] = value;
      return value;
    };
    // A function of the scope keeps the scope as its `this`.
    read.owner = (scope) => (text in scope ? scope : undefined);
    return read;
  }

  function member(object, key) {
    const keyOf = (scope) => {
      const label = String(key(scope));
      if (DENIED.has(label)) throw new TypeError(`${label} is not for expressions`);
      return label;
    };
    const read = (scope) => object(scope)[keyOf(scope)];
    read.assign = (scope, value) => {
      object(scope)[keyOf(scope)] = value;
      return value;
    };
    read.owner = object;
    return read;
  }

  function call(callee, values) {
    return (scope) => {
      const owner = callee.owner ? callee.owner(scope) : undefined;
      const run = callee(scope);
      return run.apply(owner, values.map((value) => value(scope)));
    };
  }

  const parsed = new Map();

  function parse(text) {
    if (!parsed.has(text)) {
      const parser = new Parser(text);
      parsed.set(text, parser.program());
    }
    return parsed.get(text);
  }

  function refsOf(element) {
    const refs = {};
    for (let one = element; one; one = one._x_teleportBack || one.parentElement) Object.assign(refs, { ...one._x_refs, ...refs });
    return refs;
  }

  // What Alpine.js itself gives to every expression, as far as the theme asks for it.
  function magicsOf(element) {
    return {
      $el: element,
      get $refs() { return refsOf(element); },
      get $root() { return window.Alpine.closestRoot(element); },
      $nextTick: window.Alpine.nextTick,
      $dispatch: (kind, detail = {}) =>
        element.dispatchEvent(new CustomEvent(kind, { detail, bubbles: true, composed: true, cancelable: true })),
      $watch: (key, callback) => {
        const evaluate = window.Alpine.evaluateLater(element, key);
        window.Alpine.watch(() => {
          let value;
          evaluate((result) => { value = result; });
          return value;
        }, callback);
      },
    };
  }

  // A function is called, and a promise waited for, before the result is handed over: as Alpine.js does it.
  function hand(receiver, value, scope, params) {
    if (typeof value === "function") hand(receiver, value.apply(scope, params), scope, params);
    else if (value instanceof Promise) value.then(receiver);
    else receiver(value);
  }

  function evaluator(element, expression) {
    const stack = [magicsOf(element), ...window.Alpine.closestDataStack(element)];
    return (receiver = () => {}, { scope = {}, params = [] } = {}) => {
      const merged = window.Alpine.mergeProxies([scope, ...stack]);
      try {
        const result = typeof expression === "function" ? expression.apply(merged, params) : parse(expression)(merged);
        hand(receiver, result, merged, params);
      } catch (error) {
        console.error(`${error.message}, in: ${expression}`, element);
      }
    };
  }

  window.sandflyParse = parse;
  document.addEventListener("alpine:init", () => window.Alpine.setEvaluator(evaluator));
})();
