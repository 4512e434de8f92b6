// @ts-nocheck: most of this is refused by the type check as well, but few tools that run TypeScript do one
import { Grain, type GrainClass, grain, method, reminder, state, subscribe } from 'granary';

const symbol = Symbol('s');

/** Each makes a class that is wrong in one way. */
export const MISUSES: Record<string, () => GrainClass> = {
  'a static method': () => {
    @grain()
    class Wrong extends Grain {
      @method() static async make() {}
    }
    return Wrong;
  },
  'a static field': () => {
    @grain()
    class Wrong extends Grain {
      @state() static count = 0;
      @method() async go() {}
    }
    return Wrong;
  },
  'a static accessor': () => {
    @grain()
    class Wrong extends Grain {
      @state() static accessor count = 0;
      @method() async go() {}
    }
    return Wrong;
  },
  'a method named by a symbol': () => {
    @grain()
    class Wrong extends Grain {
      @method() async [symbol]() {}
    }
    return Wrong;
  },
  'a field named by a symbol': () => {
    @grain()
    class Wrong extends Grain {
      @state() [symbol] = 0;
      @method() async go() {}
    }
    return Wrong;
  },
  '@method on a field': () => {
    @grain()
    class Wrong extends Grain {
      @method() go = 0;
    }
    return Wrong;
  },
  '@method on an accessor field': () => {
    @grain()
    class Wrong extends Grain {
      @method() accessor go = 0;
    }
    return Wrong;
  },
  '@method on a getter': () => {
    @grain()
    class Wrong extends Grain {
      @method() get go() {
        return 0;
      }
    }
    return Wrong;
  },
  '@state on a method': () => {
    @grain()
    class Wrong extends Grain {
      @state() @method() async go() {}
    }
    return Wrong;
  },
  '@state on a getter': () => {
    @grain()
    class Wrong extends Grain {
      @state() get count() {
        return 0;
      }
      @method() async go() {}
    }
    return Wrong;
  },
  '@reminder on a field': () => {
    @grain()
    class Wrong extends Grain {
      @reminder('daily') count = 0;
      @method() async go() {}
    }
    return Wrong;
  },
  '@subscribe on a static method': () => {
    @grain()
    class Wrong extends Grain {
      @subscribe('news') static async onNews() {}
      @method() async go() {}
    }
    return Wrong;
  },
  'no @grain': () => {
    class Wrong extends Grain {
      @method() async go() {}
    }
    return Wrong;
  },
  'no @grain, but on the parent': () => {
    @grain()
    class Right extends Grain {
      @method() async go() {}
    }
    class Wrong extends Right {}
    return Wrong;
  },
  '@grain without parentheses': () => {
    @grain
    class Wrong extends Grain {
      @method() async go() {}
    }
    return Wrong;
  },
  '@method without parentheses': () => {
    @grain()
    class Wrong extends Grain {
      @method async go() {}
    }
    return Wrong;
  },
  '@state without parentheses': () => {
    @grain()
    class Wrong extends Grain {
      @state count = 0;
      @method() async go() {}
    }
    return Wrong;
  },
  '@reminder without parentheses': () => {
    @grain()
    class Wrong extends Grain {
      @reminder async go() {}
    }
    return Wrong;
  },
  '@subscribe without parentheses': () => {
    @grain()
    class Wrong extends Grain {
      @subscribe async go() {}
    }
    return Wrong;
  },
};
